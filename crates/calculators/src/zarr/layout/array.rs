use std::sync::Arc;

use serde_json::{Map, Value};
use zarrs::{
    array::{
        Array, ArrayBuilder, ArrayMetadata, ArrayMetadataOptions, BytesToBytesCodecTraits,
        CodecOptions, DataType, FillValue,
    },
    storage::ReadableWritableListableStorageTraits,
};

use crate::{error::BoxError, zarr::place::OpenGroup};

/// An array in any store.
pub(crate) type StoredArray = Array<dyn ReadableWritableListableStorageTraits>;
/// Compression and checksum of a chunk, in the order in which they are applied.
pub(crate) type Codecs<'a> = &'a [Arc<dyn BytesToBytesCodecTraits>];

/// Codecs run in the thread that computed the chunk; a chunk of fill values is a chunk like any
/// other.
pub(crate) fn codec_options() -> CodecOptions {
    CodecOptions::default()
        .with_concurrent_target(1)
        // Otherwise a finished chunk of zeros would be erased, and look as if it were missing.
        .with_store_empty_chunks(true)
}

fn metadata_options() -> ArrayMetadataOptions {
    // The version of zarrs would make the same output differ between builds.
    ArrayMetadataOptions::default().with_include_zarrs_metadata(false)
}

/// The metadata of an array, as they are stored.
pub(crate) fn array_metadata(array: &StoredArray) -> ArrayMetadata {
    array.metadata_opt(&metadata_options())
}

/// Declares an array: writes its metadata.
pub(crate) fn declare_array(
    group: &OpenGroup,
    name: &str,
    (shape, chunks): (&[u64], &[u64]),
    (data_type, fill): (DataType, FillValue),
    dimensions: &[&str],
    attributes: Map<String, Value>,
    codecs: Codecs<'_>,
) -> Result<StoredArray, BoxError> {
    let mut array = ArrayBuilder::new(shape.to_vec(), chunks.to_vec(), data_type, fill)
        .bytes_to_bytes_codecs(codecs.to_vec())
        .dimension_names(Some(dimensions.iter().copied()))
        .attributes(attributes)
        .build(group.storage.clone(), &group.array(name))?;
    array.set_metadata_options(metadata_options());
    array.store_metadata()?;
    Ok(array)
}
