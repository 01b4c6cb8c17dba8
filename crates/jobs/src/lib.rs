//! The jobs of *influence*: from a configuration to influences in a Zarr array, and from there to
//! answers. No terminal, no command line: a program that has one says what it wants in plain
//! values, and watches through a trait.
//!
//! ```text
//!  Config (TOML) ──> Job ─────────────── checked as a whole, before a number is computed
//!                      │ model: TaskModel = Described + Fittable + Evaluable + Trainable + Savable
//!                      │ train, test: Samples
//!                      ├─ Assessment      how good is the model? what looks wrong?
//!                      ├─ Forecast        what would a run take?
//!                      ├─ fit             FitSettings ──> influence model, kept in a file if wanted
//!                      └─ run             influence model ──> calculators ──> Zarr, Record beside it
//!  Config ──> Trainer ──> weights                                              │
//!  Config ──> Retraining ──> losses after a training on some of the points     │
//!              └─ evaluation: Contest, Request ──> do influences predict them?  │
//!  weights, data ──> init::propose ──> Config                                  v
//!                       queries: Stored ──> facts, points, opinions, suspicions, verify::Recomputation
//!
//!  Host, Watch: how far a job is, whether it is cancelled, and who keeps the place of its output
//! ```
//!
//! [`config`] reads what is asked for, [`job`] holds it against the files before anything is
//! written, [`mod@run`] hands the work to the backend and the calculators, and [`queries`] read
//! what was written. [`models`] are sequential ones that a configuration lists, or burn modules of
//! a program with their tasks.
//!
//! Features: `flex` (default) pure-Rust CPU; `ndarray` CPU through ndarray; `wgpu` GPU through
//! WebGPU; `cuda` NVIDIA GPU. Off by default: `object-store`, `s3`, `gcs`, `azure` for outputs and
//! fits at URLs; `http` for reading.
//!
//! # Examples
//! Computes what a configuration describes, and reads who helped the model on test point 0.
//! ```no_run
//! use influence_jobs::{
//!     config::Config,
//!     fit::Affordable,
//!     job::Job,
//!     models::ConfiguredModels,
//!     output::Existing,
//!     queries::{Stored, opinions},
//!     run::{Quantity, compute},
//!     watch::Unattended,
//! };
//!
//! let host = Unattended::default();
//! let config = Config::load("influence.toml".as_ref(), &["method.damping=0.01".to_owned()])?;
//! let job = Job::new(config, Existing::Refuse, &ConfiguredModels, &host)?;
//! let solved = compute(Quantity::Influences, &Affordable::new(&job)?, None, &host)?;
//! println!("worst residual: {:.1e}", solved.worst_residual());
//!
//! let stored = Stored::open_plain(&job.config.output.path)?;
//! for opinion in opinions(&stored, &[0], 5)? {
//!     println!("most helpful: {:?}", opinion.helpful.indices);
//! }
//! # Ok::<(), anyhow::Error>(())
//! ```

pub mod assessment;
mod choice;
pub mod config;
pub mod digest;
pub mod evaluation;
pub mod fit;
pub mod fit_place;
pub mod fit_settings;
pub mod forecast;
pub mod groups;
pub mod init;
pub mod job;
pub mod memory;
pub mod models;
pub mod networks;
pub mod output;
mod prediction;
pub mod proximal;
pub mod queries;
mod readers;
pub mod record;
pub mod retraining;
pub mod run;
pub mod sequential;
mod setup;
pub mod together;
pub mod train;
pub mod verify;
pub mod watch;
pub mod weights;
pub mod worker;
