//! Where a group of Zarr is: a folder, an object store, or a group within any store; and the right
//! to write there.

#[cfg(feature = "object-store")]
mod block_on;
mod group;
mod location;
mod lock;
#[cfg(feature = "object-store")]
mod remote;
mod scheme;
mod values;

pub(crate) use group::{Occupant, OpenGroup};
pub use location::Location;
pub(crate) use lock::Lock;
pub use values::StoredValues;
