//! What an output consists of, before any of its numbers.

use std::{collections::HashMap, sync::Arc};

use influence_core::{ChunkGrid, Precision, ScoreAxis};
use serde_json::{Map, Value, json};
use zarrs::{
    array::{
        Array, ArrayBuilder, ArrayMetadataOptions, BytesToBytesCodecTraits, CodecOptions, DataType,
        FillValue, ZARR_NAN_F32, ZARR_NAN_F64, data_type,
    },
    group::GroupBuilder,
    metadata::NodeMetadata,
    metadata_ext::group::consolidated_metadata::ConsolidatedMetadata,
    node::meta_key_v3,
    storage::ReadableWritableListableStorageTraits,
};

use super::{
    FORMAT, Labels, OWN, Place, ZarrOptions,
    labels::coordinate,
    location::Source,
    reports::{self, ReportArrays},
};
use crate::Error;

pub(super) type Stored = Array<dyn ReadableWritableListableStorageTraits>;
pub(super) type Codecs<'a> = &'a [Arc<dyn BytesToBytesCodecTraits>];

/// The group of factors that are kept while influences are computed.
pub(super) const SCRATCH: &str = "scratch";

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Influences,
    Factors,
    SelfInfluences,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Influences, Self::Factors, Self::SelfInfluences];

    pub(crate) fn array(self) -> &'static str {
        match self {
            Self::Influences => "influences",
            Self::Factors => "factors",
            Self::SelfInfluences => "self_influences",
        }
    }

    /// The dimensions of the grid that the array has; the grid of self-influences has a column that it lacks.
    pub(super) fn dimensions(self) -> &'static [&'static str] {
        match self {
            Self::Influences => &["test", "train"],
            Self::Factors => &["test", "parameter"],
            Self::SelfInfluences => &["train"],
        }
    }

    /// The dimensions that get a coordinate: parameters are as many as they are anonymous.
    fn coordinates(self) -> &'static [&'static str] {
        match self {
            Self::Influences => &["test", "train"],
            Self::Factors => &["test"],
            Self::SelfInfluences => &["train"],
        }
    }
}

/// Everything within a group that is this crate's, whatever the kind of output.
pub(super) const NODES: [&str; 9] = [
    "influences",
    "factors",
    "self_influences",
    "test",
    "train",
    reports::STATUS,
    reports::RESIDUAL,
    reports::ITERATIONS,
    SCRATCH,
];

/// What an output is to be.
#[derive(Debug, Clone)]
pub(crate) struct Declaration {
    pub(crate) kind: Kind,
    pub(crate) grid: ChunkGrid,
    /// The axes of a score, after those of the grid.
    pub(crate) axes: Vec<ScoreAxis>,
    pub(crate) precision: Precision,
    /// Whether test rows are solved, and reports on them kept.
    pub(crate) solves: bool,
}

/// The arrays of an output.
pub(super) struct Arrays {
    pub(super) values: Stored,
    pub(super) reports: Option<ReportArrays>,
    coordinates: Vec<Stored>,
}

impl Declaration {
    /// The attributes of the group, as long as it is not complete.
    pub(super) fn attributes(&self, options: &ZarrOptions) -> Map<String, Value> {
        let mut attributes = options.attributes().clone();
        let mut own = json!({
            "format": FORMAT,
            "version": env!("CARGO_PKG_VERSION"),
            "kind": self.kind.array(),
            "precision": match self.precision { Precision::F32 => "f32", Precision::F64 => "f64" },
            "shape": self.grid.shape(),
            "chunks": self.grid.chunk_shape(),
            "compression": options.compression(),
            "factors": if self.solves { "solved" } else { "given" },
            "complete": false,
        });
        if !self.axes.is_empty() {
            let axes = self.axes.iter();
            own["axes"] = axes
                .map(|axis| json!([axis.name, axis.len, axis.labels]))
                .collect();
        }
        attributes.insert(OWN.to_owned(), own);
        attributes
    }

    /// Refuses labels that are not as many as the points that they are of.
    pub(super) fn check_labels(&self, options: &ZarrOptions) -> Result<(), Error> {
        for (name, length) in self.sides_with_coordinates() {
            let labels = options.labels(name).map_or(length, Labels::len);
            if labels != length {
                return Err(Error::Option {
                    name: "labels",
                    requirement: "as many as there are points",
                    got: format!("{labels} labels for {length} {name} points"),
                });
            }
        }
        Ok(())
    }

    fn sides_with_coordinates(&self) -> impl Iterator<Item = (&'static str, usize)> {
        // Self-influences have points on the first axis of their grid as well.
        let names = self.kind.coordinates().iter().copied();
        names.zip(self.grid.shape())
    }

    /// Declares all arrays, and writes the coordinates; what is there already comes out the same.
    pub(super) fn arrays(
        &self,
        place: &Place,
        options: &ZarrOptions,
        codecs: Codecs<'_>,
    ) -> Result<Arrays, Source> {
        let values = self.values(place, codecs)?;
        let coordinates = self
            .sides_with_coordinates()
            .map(|(name, length)| coordinate(place, name, length, options.labels(name), codecs));
        let reports = self
            .solves
            .then(|| ReportArrays::declare(place, &self.grid, self.kind, codecs));
        Ok(Arrays {
            values,
            coordinates: coordinates.collect::<Result<_, _>>()?,
            reports: reports.transpose()?,
        })
    }

    fn values(&self, place: &Place, codecs: Codecs<'_>) -> Result<Stored, Source> {
        let kind: (DataType, FillValue) = match self.precision {
            Precision::F32 => (data_type::float32(), ZARR_NAN_F32.into()),
            Precision::F64 => (data_type::float64(), ZARR_NAN_F64.into()),
        };
        let [shape, chunks] = [self.grid.shape(), self.grid.chunk_shape()].map(|sides| {
            self.sides(sides)
                .map(|side| side as u64)
                .collect::<Vec<_>>()
        });
        let names = self.axes.iter().map(|axis| axis.name.as_str());
        let dimensions: Vec<&str> = self
            .kind
            .dimensions()
            .iter()
            .copied()
            .chain(names)
            .collect();
        let labelled = self.axes.iter().filter(|axis| !axis.labels.is_empty());
        let labels = labelled.map(|axis| (axis.name.clone(), json!(axis.labels)));
        array(
            place,
            self.kind.array(),
            (&shape, &chunks),
            kind,
            &dimensions,
            labels.collect(),
            codecs,
        )
    }

    /// The sides of the array, or of a chunk of it, from those of the grid.
    pub(super) fn sides(&self, grid: [usize; 2]) -> impl Iterator<Item = usize> {
        let grid = grid.into_iter().take(self.kind.dimensions().len());
        grid.chain(self.axes.iter().map(|axis| axis.len))
    }
}

impl Arrays {
    /// The metadata of all arrays by name.
    pub(super) fn metadata(&self) -> HashMap<String, NodeMetadata> {
        let reports = self.reports.iter().flat_map(ReportArrays::all);
        let arrays = self.coordinates.iter().chain(reports);
        let named = arrays.chain([&self.values]).map(|array| {
            let name = array.path().as_str().rsplit('/').next().unwrap_or_default();
            let metadata = array.metadata_opt(&metadata_options());
            (name.to_owned(), NodeMetadata::Array(metadata))
        });
        named.collect()
    }
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

/// Writes the metadata of the group, consolidated if that of the arrays is given.
pub(super) fn store_group(
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
pub(super) fn erase(place: &Place) -> Result<(), Source> {
    NODES.iter().try_for_each(|name| erase_node(place, name))
}

pub(super) fn erase_node(place: &Place, name: &str) -> Result<(), Source> {
    Ok(place.storage.erase_prefix(&place.prefix(name)?)?)
}

/// Declares an array.
pub(super) fn array(
    place: &Place,
    name: &str,
    (shape, chunks): (&[u64], &[u64]),
    (data_type, fill): (DataType, FillValue),
    dimensions: &[&str],
    attributes: Map<String, Value>,
    codecs: Codecs<'_>,
) -> Result<Stored, Source> {
    let mut array = ArrayBuilder::new(shape.to_vec(), chunks.to_vec(), data_type, fill)
        .bytes_to_bytes_codecs(codecs.to_vec())
        .dimension_names(Some(dimensions.iter().copied()))
        .attributes(attributes)
        .build(place.storage.clone(), &place.array(name))?;
    array.set_metadata_options(metadata_options());
    array.store_metadata()?;
    Ok(array)
}
