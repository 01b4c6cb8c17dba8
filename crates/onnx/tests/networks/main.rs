//! Exported networks against PyTorch.

mod golden;
mod kronecker;
mod losses;
mod models;
mod opened;
mod parameters;
mod programs;
