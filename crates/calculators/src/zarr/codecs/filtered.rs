//! The codec that makes numbers of the bytes of filtered ones.

use std::{any::Any, borrow::Cow, num::NonZeroU64, sync::Arc};

use serde_json::Value;
use zarrs::{
    array::{
        ArrayBytes, ArrayBytesRaw, ArrayCodecTraits, ArrayToBytesCodecTraits, BytesRepresentation,
        Codec, CodecError, CodecMetadataOptions, CodecOptions, CodecTraits, DataType, FillValue,
        RecommendedConcurrency,
        codec::api::{
            CodecRuntimePluginV3, PartialDecoderCapability, PartialEncoderCapability,
            register_codec_v3,
        },
    },
    metadata::{Configuration, v3::MetadataV3},
    plugin::{ExtensionName, PluginCreateError, ZarrVersion},
};

use super::filters::Filters;

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

impl ExtensionName for Filtered {
    fn name(&self, _version: ZarrVersion) -> Option<Cow<'static, str>> {
        Some(Self::NAME.into())
    }
}

impl CodecTraits for Filtered {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn configuration(
        &self,
        _version: ZarrVersion,
        _options: &CodecMetadataOptions,
    ) -> Option<Configuration> {
        Some(Configuration::default())
    }

    fn partial_decoder_capability(&self) -> PartialDecoderCapability {
        // A chunk is always decoded whole. Saying so would have `zarrs` keep it in the shape that it
        // has before it is transposed, which is wrong for arrays in Fortran order.
        PartialDecoderCapability {
            partial_read: false,
            partial_decode: true,
        }
    }

    fn partial_encoder_capability(&self) -> PartialEncoderCapability {
        PartialEncoderCapability {
            partial_encode: false,
        }
    }
}

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
        Err(CodecError::Other(format!("{} does not write", Self::NAME)))
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
