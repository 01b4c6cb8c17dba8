//! Influence as the derivative of a training, unrolled backwards.
//!
//! A training that is deterministic is a function of the weights `w_i` of its samples, which are
//! all 1. Its step `t` reads the batch `B_t` of `b` samples and the parameters `θ`, with `ρ` the
//! weight decay and `s` the state of the optimiser:
//!
//! ```text
//! g      = 1/b Σ_{i ∈ B_t} w_i ∇ℓ_i(θ) + ρ θ
//! s', θ' = update(s, θ, g)
//! ```
//!
//! The measurement `m_j` of a test point at the end of the training is a function of the weights,
//! too. Its derivative is found by going through the steps backwards. Two adjoints are carried for
//! each test point: `Ā`, the derivative of `m_j` by the parameters before the steps that have been
//! undone, and `S̄`, the one by the state. At the end of the training `Ā = ∇m_j` and `S̄ = 0`. To
//! undo a step, [`UpdateRule`] gives the derivative `Ḡ` by `g`, from which follow
//!
//! ```text
//! ∂m_j/∂w_i += 1/b ⟨Ḡ, ∇ℓ_i(θ)⟩    for each sample of the batch,
//! Ā         += H Ḡ + ρ Ḡ           with H the Hessian of the mean loss of the batch.
//! ```
//!
//! The derivative is exact: there is no assumption that the training has converged, nothing is
//! damped, and the order of the batches counts. What it costs is a product with the Hessian of a
//! batch for each step and test point; all test points of a batch are carried at once.
//!
//! The influence is `τ[j, i] = −n ∂m_j/∂w_i`, so that it has the sign and the scale of other
//! methods: a positive value is helpful, and leaving sample `i` out raises `m_j` by about `τ / n`.
//!
//! The backward pass needs the parameters and the state before each step. They are kept for all
//! steps where there is memory for it. Else they are kept for one step in `√T`, and the others are
//! computed again by the operations that gave them the first time, hence with the same bits.
//!
//! Ilyas and Engstrom, *MAGIC: near-optimal data attribution for deep learning*, 2025. The
//! adjoints of gradient descent with momentum are in Maclaurin, Duvenaud and Adams,
//! *Gradient-based hyperparameter optimization through reversible learning*, 2015, section 2.

mod backward;
mod model;
mod segmentation;
mod states;
mod steps;
mod update;

pub use model::Unrolled;
pub use segmentation::Segmentation;
pub(crate) use states::FollowedTraining;
pub use steps::{GatherSamples, TrainingStep, TrainingSteps};
pub use update::UpdateRule;
