//! Codecs that unpack the bytes of a chunk.

use std::{borrow::Cow, sync::Arc};

use zarrs::{
    array::{
        ArrayBytesRaw, BytesRepresentation, BytesToBytesCodecTraits, Codec, CodecError,
        CodecOptions, RecommendedConcurrency,
        codec::api::{CodecRuntimePluginV3, register_codec_v3},
    },
    metadata::v3::MetadataV3,
};

use super::{
    blosc,
    read_only::{does_not_write, read_only},
};

/// A chunk of unknown size is unpacked up to this many bytes.
const MOST: usize = 1 << 31;

/// The names of the codecs in metadata.
const CODECS: [(&[&str], Unpack); 2] = [
    (&["blosc", "numcodecs.blosc"], Unpack::Blosc),
    (&["lz4", "numcodecs.lz4"], Unpack::Lz4),
];

/// Unpacks the bytes of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unpack {
    Blosc,
    /// The length in four bytes, then a block.
    Lz4,
}

impl Unpack {
    /// The name among the codecs of `zarrs`.
    pub(super) fn own_name(self) -> &'static str {
        match self {
            Self::Blosc => "influence.read_blosc",
            Self::Lz4 => "influence.read_lz4",
        }
    }

    /// The codec of a name in metadata.
    pub(super) fn of(name: &str) -> Option<Self> {
        let mut known = CODECS.iter();
        known.find_map(|(names, codec)| names.contains(&name).then_some(*codec))
    }

    fn unpack(self, bytes: &[u8], most: usize) -> Result<Vec<u8>, String> {
        match self {
            Self::Blosc => blosc::unpack(bytes, most),
            Self::Lz4 => unpack_lz4(bytes, most),
        }
    }
}

fn unpack_lz4(bytes: &[u8], most: usize) -> Result<Vec<u8>, String> {
    let damaged = "a chunk of LZ4 is cut short or damaged";
    let (length, block) = bytes.split_first_chunk::<4>().ok_or(damaged)?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > most {
        return Err(format!(
            "expected at most {most} bytes in a chunk of LZ4, got {length}"
        ));
    }
    let unpacked = lz4_flex::block::decompress(block, length);
    let unpacked = unpacked.map_err(|error| format!("{damaged}: {error}"))?;
    if unpacked.len() == length {
        Ok(unpacked)
    } else {
        Err(format!(
            "{damaged}: expected {length} bytes, got {}",
            unpacked.len()
        ))
    }
}

/// Makes the codecs known to `zarrs`.
pub(super) fn register() {
    for (_, codec) in CODECS {
        let found = move |name: &str| name == codec.own_name();
        let make = move |_: &MetadataV3| Ok(Codec::BytesToBytes(Arc::new(codec)));
        // The handle is for taking it back.
        let _ = register_codec_v3(CodecRuntimePluginV3::new(found, make));
    }
}

read_only!(Unpack, name: |codec| codec.own_name(), partial_decode: false);

impl BytesToBytesCodecTraits for Unpack {
    fn into_dyn(self: Arc<Self>) -> Arc<dyn BytesToBytesCodecTraits> {
        self
    }

    fn recommended_concurrency(
        &self,
        _decoded: &BytesRepresentation,
    ) -> Result<RecommendedConcurrency, CodecError> {
        Ok(RecommendedConcurrency::new_maximum(1))
    }

    fn encoded_representation(&self, _decoded: &BytesRepresentation) -> BytesRepresentation {
        BytesRepresentation::UnboundedSize
    }

    fn encode<'a>(
        &self,
        _decoded: ArrayBytesRaw<'a>,
        _options: &CodecOptions,
    ) -> Result<ArrayBytesRaw<'a>, CodecError> {
        Err(does_not_write(self.own_name()))
    }

    fn decode<'a>(
        &self,
        encoded: ArrayBytesRaw<'a>,
        decoded: &BytesRepresentation,
        _options: &CodecOptions,
    ) -> Result<ArrayBytesRaw<'a>, CodecError> {
        let size = decoded.size().and_then(|size| usize::try_from(size).ok());
        let unpacked = self.unpack(&encoded, size.unwrap_or(MOST));
        unpacked.map(Cow::Owned).map_err(CodecError::Other)
    }
}
