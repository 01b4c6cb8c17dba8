//! Integration tests: the whole path, against references made elsewhere.

#[cfg(any(feature = "ndarray", feature = "wgpu"))]
mod devices;
mod methods;
mod models;
mod oracle;
mod parity;
mod reference;
mod zarr;
