//! The answers that `zarrs` wants of every codec, given once for those that only read.

use zarrs::array::CodecError;

/// Declares a codec that reads whole chunks and writes nothing, with the name it has among the
/// codecs of `zarrs`. `partial_decode` is its claim about reading a part of a chunk.
macro_rules! read_only {
    ($codec:ty, name: $name:expr, partial_decode: $partial_decode:literal) => {
        impl zarrs::plugin::ExtensionName for $codec {
            fn name(
                &self,
                _version: zarrs::plugin::ZarrVersion,
            ) -> Option<std::borrow::Cow<'static, str>> {
                let name: fn(&$codec) -> &'static str = $name;
                Some(name(self).into())
            }
        }

        impl zarrs::array::CodecTraits for $codec {
            fn as_any(&self) -> &dyn std::any::Any {
                self
            }

            fn configuration(
                &self,
                _version: zarrs::plugin::ZarrVersion,
                _options: &zarrs::array::CodecMetadataOptions,
            ) -> Option<zarrs::metadata::Configuration> {
                Some(zarrs::metadata::Configuration::default())
            }

            fn partial_decoder_capability(
                &self,
            ) -> zarrs::array::codec::api::PartialDecoderCapability {
                zarrs::array::codec::api::PartialDecoderCapability {
                    partial_read: false,
                    partial_decode: $partial_decode,
                }
            }

            fn partial_encoder_capability(
                &self,
            ) -> zarrs::array::codec::api::PartialEncoderCapability {
                zarrs::array::codec::api::PartialEncoderCapability {
                    partial_encode: false,
                }
            }
        }
    };
}
pub(super) use read_only;

/// The error of writing with a codec that only reads.
pub(super) fn does_not_write(name: &str) -> CodecError {
    CodecError::Other(format!("{name} does not write"))
}
