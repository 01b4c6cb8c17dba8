use std::{collections::HashMap, sync::Arc};

use influence_core::{Chunk, Precision};
use ndarray::{Array2, ArrayView2, ArrayViewD, s};
use serde_json::{Map, Value, json};
use zarrs::{
    array::{
        Array, ArrayBuilder, ArrayMetadataOptions, BytesToBytesCodecTraits, CodecOptions, DataType,
        Element, FillValue, ZARR_NAN_F32, ZARR_NAN_F64, data_type,
    },
    group::GroupBuilder,
    metadata::NodeMetadata,
    metadata_ext::group::consolidated_metadata::ConsolidatedMetadata,
    node::meta_key_v3,
    storage::ReadableWritableListableStorageTraits,
};

use super::{FORMAT, OWN, Place, ZarrOptions, location::Source};
use crate::{
    Error, Plan, Result, SolveSummary,
    sink::{Plain, Sink},
};

type Stored = Array<dyn ReadableWritableListableStorageTraits>;

/// Row numbers in one chunk of a coordinate: 8 MiB.
const COORDINATE_CHUNK: usize = 1 << 20;

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Influences,
    Factors,
}

impl Kind {
    pub(crate) fn array(self) -> &'static str {
        match self {
            Self::Influences => "influences",
            Self::Factors => "factors",
        }
    }

    fn dimensions(self) -> [&'static str; 2] {
        match self {
            Self::Influences => ["test", "train"],
            Self::Factors => ["test", "parameter"],
        }
    }

    /// The dimensions that get a coordinate: parameters are as many as they are anonymous.
    fn coordinates(self) -> &'static [&'static str] {
        match self {
            Self::Influences => &["test", "train"],
            Self::Factors => &["test"],
        }
    }

    /// Every array that an output of any kind may have.
    const ARRAYS: [&'static str; 4] = ["influences", "factors", "test", "train"];
}

/// A group that is being written.
pub(crate) struct Output {
    place: Place,
    array: Stored,
    coordinates: Vec<(&'static str, Stored)>,
    precision: Precision,
    attributes: Map<String, Value>,
}

impl Output {
    /// Declares the output: group, arrays and coordinates, everything but the numbers.
    pub(crate) fn create(
        place: Place,
        kind: Kind,
        plan: &Plan,
        precision: Precision,
        options: &ZarrOptions,
    ) -> Result<Self> {
        let codecs = options.codecs()?;
        let failed = |source| Error::store(&place.name, "declare the output", source);
        let attributes = attributes(kind, plan, precision, options);
        // The mark comes first: an output that is only half erased or declared is known for what it is.
        store_group(&place, &attributes, None).map_err(failed)?;
        erase(&place).map_err(failed)?;
        let array = declare(&place, kind, plan, precision, &codecs).map_err(failed)?;
        let lengths = kind.coordinates().iter().zip(plan.grid().shape());
        let coordinates: Result<Vec<_>, Source> = lengths
            .map(|(name, length)| Ok((*name, coordinate(&place, name, length, &codecs)?)))
            .collect();
        let coordinates = coordinates.map_err(failed)?;
        Ok(Self {
            place,
            array,
            coordinates,
            precision,
            attributes,
        })
    }

    /// Says that all chunks are there.
    pub(crate) fn finish(mut self, summary: &SolveSummary) -> Result<()> {
        let own = &mut self.attributes[OWN];
        own["complete"] = true.into();
        if !summary.rows_by_status().is_empty() {
            own["solver"] = json!({ "rows": summary.rows_by_status(), "worst_residual": summary.worst_residual() });
        }
        let name = self
            .array
            .path()
            .as_str()
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        let named = self
            .coordinates
            .iter()
            .map(|(name, array)| ((*name).to_owned(), array));
        let nodes = named.chain([(name, &self.array)]);
        let nodes = nodes.map(|(name, array)| {
            (
                name,
                NodeMetadata::Array(array.metadata_opt(&metadata_options())),
            )
        });
        store_group(&self.place, &self.attributes, Some(nodes.collect()))
            .map_err(|source| Error::store(&self.place.name, "write the final metadata", source))
    }

    fn store<T: Element>(&self, chunk: &Chunk, padded: &Array2<T>) -> Result<()> {
        let index = chunk.index.map(|index| index as u64);
        self.array
            .store_chunk_opt(&index, padded, &codec_options())
            .map_err(|source| Error::store(&self.place.name, "write a chunk", source))
    }

    fn write(&self, chunk: &Chunk, values: &ArrayView2<'_, f64>) -> Result<()> {
        let index = chunk.index.map(|index| index as u64);
        let shape = self.array.chunk_shape_usize(&index);
        let shape =
            shape.map_err(|source| Error::store(&self.place.name, "place a chunk", source))?;
        match self.precision {
            Precision::F32 => self.store(chunk, &padded(&shape, values, ZARR_NAN_F32, single)),
            Precision::F64 => {
                self.store(chunk, &padded(&shape, values, ZARR_NAN_F64, |value| value))
            }
        }
    }
}

impl Sink for Output {
    fn deliver(&self, chunk: &Chunk, values: ArrayViewD<'_, f64>) -> Result<()> {
        Plain(|chunk: &Chunk, values: ArrayView2<'_, f64>| self.write(chunk, &values))
            .deliver(chunk, values)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the model computed in this precision"
)]
fn single(value: f64) -> f32 {
    value as f32
}

/// A whole chunk with the values in its upper left corner.
fn padded<T: Copy>(
    shape: &[usize],
    values: &ArrayView2<'_, f64>,
    fill: T,
    convert: impl Fn(f64) -> T,
) -> Array2<T> {
    let mut whole = Array2::from_elem((shape[0], shape[1]), fill);
    let mut corner = whole.slice_mut(s![..values.nrows(), ..values.ncols()]);
    corner.zip_mut_with(values, |place, &value| *place = convert(value));
    whole
}

/// Codecs run in the thread that computed the chunk; a chunk of fill values is a chunk like any other.
pub(super) fn codec_options() -> CodecOptions {
    CodecOptions::default()
        .with_concurrent_target(1)
        .with_store_empty_chunks(true)
}

fn metadata_options() -> ArrayMetadataOptions {
    ArrayMetadataOptions::default().with_include_zarrs_metadata(false)
}

fn attributes(
    kind: Kind,
    plan: &Plan,
    precision: Precision,
    options: &ZarrOptions,
) -> Map<String, Value> {
    let mut attributes = options.attributes().clone();
    let own = json!({
        "format": FORMAT,
        "version": env!("CARGO_PKG_VERSION"),
        "kind": kind.array(),
        "precision": match precision { Precision::F32 => "f32", Precision::F64 => "f64" },
        "shape": plan.grid().shape(),
        "chunks": plan.grid().chunk_shape(),
        "complete": false,
    });
    attributes.insert(OWN.to_owned(), own);
    attributes
}

fn store_group(
    place: &Place,
    attributes: &Map<String, Value>,
    nodes: Option<HashMap<String, NodeMetadata>>,
) -> Result<(), Source> {
    let mut group = GroupBuilder::new()
        .attributes(attributes.clone())
        .build(place.storage.clone(), &place.group)?;
    let consolidated = nodes.map(|metadata| ConsolidatedMetadata {
        metadata,
        ..Default::default()
    });
    group.set_consolidated_metadata(consolidated);
    // Consolidated metadata is a hash map: sorted, so that the same output has the same bytes.
    let mut metadata = serde_json::to_value(group.metadata())?;
    metadata.sort_all_objects();
    let text = serde_json::to_vec_pretty(&metadata)?;
    Ok(place.storage.set(&meta_key_v3(group.path()), text.into())?)
}

/// Removes the arrays of an earlier output, and nothing else.
fn erase(place: &Place) -> Result<(), Source> {
    for name in Kind::ARRAYS {
        place.storage.erase_prefix(&place.prefix(name)?)?;
    }
    Ok(())
}

fn declare(
    place: &Place,
    kind: Kind,
    plan: &Plan,
    precision: Precision,
    codecs: &[Arc<dyn BytesToBytesCodecTraits>],
) -> Result<Stored, Source> {
    let (data_type, fill): (DataType, FillValue) = match precision {
        Precision::F32 => (data_type::float32(), ZARR_NAN_F32.into()),
        Precision::F64 => (data_type::float64(), ZARR_NAN_F64.into()),
    };
    let [shape, chunks] =
        [plan.grid().shape(), plan.grid().chunk_shape()].map(|sides| sides.map(|side| side as u64));
    let mut array = ArrayBuilder::new(shape.to_vec(), chunks.to_vec(), data_type, fill)
        .bytes_to_bytes_codecs(codecs.to_vec())
        .dimension_names(Some(kind.dimensions()))
        .build(place.storage.clone(), &place.array(kind.array()))?;
    array.set_metadata_options(metadata_options());
    array.store_metadata()?;
    Ok(array)
}

/// Writes the numbers of the rows or columns.
fn coordinate(
    place: &Place,
    name: &str,
    length: usize,
    codecs: &[Arc<dyn BytesToBytesCodecTraits>],
) -> Result<Stored, Source> {
    let chunk = length.clamp(1, COORDINATE_CHUNK);
    let mut array = ArrayBuilder::new(
        vec![length as u64],
        vec![chunk as u64],
        data_type::int64(),
        -1_i64,
    )
    .bytes_to_bytes_codecs(codecs.to_vec())
    .dimension_names(Some([name]))
    .build(place.storage.clone(), &place.array(name))?;
    array.set_metadata_options(metadata_options());
    array.store_metadata()?;
    for (index, first) in (0..length).step_by(chunk).enumerate() {
        let number = |offset: usize| {
            if first + offset < length {
                i64::try_from(first + offset)
            } else {
                Ok(-1)
            }
        };
        let numbers: Result<Vec<i64>, _> = (0..chunk).map(number).collect();
        array.store_chunk_opt(&[index as u64], numbers?, &codec_options())?;
    }
    Ok(array)
}
