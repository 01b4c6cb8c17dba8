//! The bytes of a file, and the message that they are.

use std::path::Path;

use prost::{Message, bytes::Bytes};

use crate::{Error, Result, error::malformed, proto};

/// The bytes of a file.
pub(super) fn bytes(path: &Path) -> Result<Bytes> {
    let read = std::fs::read(path).map_err(|source| Error::Io {
        path: path.to_owned(),
        source,
    });
    Ok(read?.into())
}

/// The message of a file.
pub(super) fn decoded(bytes: Bytes) -> Result<proto::ModelProto> {
    proto::ModelProto::decode(bytes).map_err(|error| {
        malformed(format_args!(
            "this is no ONNX file, or it was cut off ({error})"
        ))
    })
}
