//! What can be read from an output: the influences, the points that they are about, and how they
//! were made.

mod facts;
mod moved;
mod names;
mod points;
mod select;
mod stored;
mod suspicion;
mod top;
mod truth;

pub use facts::facts;
pub use moved::check_digests;
pub use names::{class, id, name, target};
pub use points::{Evaluated, Points, Predictions, shown};
pub use select::select;
pub use stored::{Stored, origin};
pub use suspicion::{By, Suspicion, advised, self_influences};
pub use top::{About, Opinion, opinions};
pub use truth::{true_labels, truth};
