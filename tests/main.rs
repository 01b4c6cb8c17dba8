//! Integration tests: the whole path, against references made elsewhere.

mod methods;
mod models;
mod oracle;
mod parity;
mod reference;
mod zarr;
