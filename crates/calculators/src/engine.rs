//! The one program behind all calculators: hold a panel of one side of the matrix, and let the
//! other side stream past it.
//!
//! A matrix of influences `(k, n)` is the product of factors `(k, dim)` and gradients `(n, dim)`:
//!
//! ```text
//!              gradients of train points, a column of chunks each
//!               g0    g1    g2    g3
//!            +-----+-----+-----+-----+
//!   factors  |     |     |     |     |   f0
//!   of test  +-----+-----+-----+-----+            chunk [i, j] = scores(fi, gj)
//!   points,  |     |     |     |     |   f1
//!   a row    +-----+-----+-----+-----+
//!   each     |     |     |     |     |   f2
//!            +-----+-----+-----+-----+
//! ```
//!
//! Each `fi` and each `gj` is expensive and large, so neither is made twice if that can be avoided,
//! and not all of them are in memory. With the test side *held*, a panel of rows (`f0`, `f1`) is
//! solved, one task per row; then columns stream: one task makes `gj`, scores it against every held
//! `fi`, hands over the chunks, and drops `gj`. With the train side held the roles are exchanged.
//! If the held side takes several panels, the streaming side is made again for each: gradients are
//! computed again, factors are read back from a scratch array, since solving costs far more than
//! reading. [`Plan`](crate::Plan) decides which side is held, and by how much it is cut.
//!
//! *Why the bits do not depend on any of this.* Which numbers meet in which operation is fixed by
//! the grid alone: `fi` is solved from the rows of chunk row `i` together, `gj` from the columns of
//! chunk column `j`, and a chunk is one call of `scores`. The plan and the calculator decide only
//! who does it when. So sequential, parallel and resumed runs agree to the bit, and chunks can be
//! computed again without harm.
//!
//! *Failure.* Every step that runs code of others (model, data, aggregator, observer) is guarded: a
//! panic in it becomes an error that names the step. A row that the solver gave up on is data, a
//! report; [`Supervisor`] decides whether it ends the computation.
//!
//! Where things are: `profile` measures a model before the first number, `execution` has the loops
//! over panels, `steps` has what one task does, `supervisor` tells observers, `runner` is all that
//! the engine needs of a calculator.

mod execution;
mod guard;
mod profile;
mod runner;
mod steps;
mod supervisor;

pub(crate) use execution::{Execution, Operands};
pub(crate) use guard::{core_step, guarded};
pub(crate) use profile::Profile;
pub(crate) use runner::Runner;
pub(crate) use steps::Steps;
pub(crate) use supervisor::Supervisor;
