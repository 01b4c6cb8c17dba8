//! The codec that makes numbers of the bytes of filtered ones.

use std::{num::NonZeroU64, sync::Arc};

use serde_json::Value;
use zarrs::{
    array::{
        ArrayBytes, ArrayBytesRaw, ArrayCodecTraits, ArrayToBytesCodecTraits, BytesRepresentation,
        Codec, CodecError, CodecOptions, DataType, FillValue, RecommendedConcurrency,
        codec::api::{CodecRuntimePluginV3, register_codec_v3},
    },
    metadata::v3::MetadataV3,
    plugin::PluginCreateError,
};

use super::{
    filters::Filters,
    read_only::{does_not_write, read_only},
};

/// Reads filtered numbers.
#[derive(Debug)]
pub(super) struct Filtered(Filters);

impl Filtered {
    /// The name among the codecs of `zarrs`.
    pub(super) const NAME: &str = "influence.read_filtered";
}

/// Makes the codec known to `zarrs`.
pub(super) fn register() {
    let make = |metadata: &MetadataV3| {
        let settings: Value = metadata.to_typed_configuration()?;
        let filters = Filters::from_configuration(&settings).map_err(PluginCreateError::Other)?;
        Ok(Codec::ArrayToBytes(Arc::new(Filtered(filters))))
    };
    let found = |name: &str| name == Filtered::NAME;
    // The handle is for taking it back.
    let _ = register_codec_v3(CodecRuntimePluginV3::new(found, make));
}

// A chunk is always decoded whole. Saying so would have `zarrs` keep it in the shape that it has
// before it is transposed, which is wrong for arrays in Fortran order.
read_only!(Filtered, name: |_| Filtered::NAME, partial_decode: true);

impl ArrayCodecTraits for Filtered {
    fn recommended_concurrency(
        &self,
        _shape: &[NonZeroU64],
        _data_type: &DataType,
    ) -> Result<RecommendedConcurrency, CodecError> {
        Ok(RecommendedConcurrency::new_maximum(1))
    }
}

impl ArrayToBytesCodecTraits for Filtered {
    fn into_dyn(self: Arc<Self>) -> Arc<dyn ArrayToBytesCodecTraits> {
        self
    }

    fn encoded_representation(
        &self,
        shape: &[NonZeroU64],
        _data_type: &DataType,
        _fill_value: &FillValue,
    ) -> Result<BytesRepresentation, CodecError> {
        let [_, stored] = self.0.sizes();
        let numbers: u64 = shape.iter().map(|side| side.get()).product();
        Ok(BytesRepresentation::FixedSize(
            numbers.saturating_mul(stored as u64),
        ))
    }

    fn encode<'a>(
        &self,
        _bytes: ArrayBytes<'a>,
        _shape: &[NonZeroU64],
        _data_type: &DataType,
        _fill_value: &FillValue,
        _options: &CodecOptions,
    ) -> Result<ArrayBytesRaw<'a>, CodecError> {
        Err(does_not_write(Self::NAME))
    }

    fn decode<'a>(
        &self,
        bytes: ArrayBytesRaw<'a>,
        shape: &[NonZeroU64],
        data_type: &DataType,
        fill_value: &FillValue,
        _options: &CodecOptions,
    ) -> Result<ArrayBytes<'a>, CodecError> {
        let expected = self
            .encoded_representation(shape, data_type, fill_value)?
            .size();
        if expected == Some(bytes.len() as u64) {
            return Ok(self.0.undo(&bytes).into());
        }
        Err(CodecError::Other(format!(
            "expected {} bytes of filtered numbers, got {}",
            expected.unwrap_or_default(),
            bytes.len()
        )))
    }
}
