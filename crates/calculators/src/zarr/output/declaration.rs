//! The description of an output before any of its numbers.

use std::collections::HashMap;

use influence_core::{ChunkGrid, Precision, ScoreAxis};
use serde_json::{Map, Value, json};
use zarrs::{
    array::{Array, DataType, FillValue, ZARR_NAN_F32, ZARR_NAN_F64, data_type},
    metadata::NodeMetadata,
};

use super::options::ZarrOptions;
use crate::{
    Error,
    error::BoxError,
    zarr::{
        format::{FORMAT, OWN},
        layout::{
            ArrayLayout, Codecs, Labels, ReportArrays, StoredArray, array_metadata, declare_array,
            declare_coordinate,
        },
        place::OpenGroup,
    },
};

/// The description of an output.
#[derive(Debug, Clone)]
pub(crate) struct Declaration {
    pub(crate) layout: ArrayLayout,
    pub(crate) grid: ChunkGrid,
    /// The axes of a score, after those of the grid.
    pub(crate) axes: Vec<ScoreAxis>,
    pub(crate) precision: Precision,
    /// Whether test rows are solved, and reports on them kept.
    pub(crate) solves: bool,
}

/// The arrays of an output.
pub(super) struct Arrays {
    pub(super) values: StoredArray,
    pub(super) reports: Option<ReportArrays>,
    coordinates: Vec<StoredArray>,
}

impl Declaration {
    /// The attributes of the group, as long as it is not complete.
    pub(super) fn attributes(&self, options: &ZarrOptions) -> Map<String, Value> {
        let mut attributes = options.attributes().clone();
        let mut own = json!({
            "format": FORMAT,
            "version": env!("CARGO_PKG_VERSION"),
            "kind": self.layout.name,
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

    /// Refuses labels whose number is not that of the points.
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
        let names = self.layout.coordinates().iter().copied();
        names.zip(self.grid.shape())
    }

    /// Declares all arrays, and writes the coordinates. Where they are there already, the same
    /// bytes come out.
    pub(super) fn arrays(
        &self,
        group: &OpenGroup,
        options: &ZarrOptions,
        codecs: Codecs<'_>,
    ) -> Result<Arrays, BoxError> {
        let values = self.values(group, codecs)?;
        let coordinates = self.sides_with_coordinates().map(|(name, length)| {
            declare_coordinate(group, name, length, options.labels(name), codecs)
        });
        let reports = self
            .solves
            .then(|| ReportArrays::declare(group, &self.grid, &self.layout, codecs));
        Ok(Arrays {
            values,
            coordinates: coordinates.collect::<Result<_, _>>()?,
            reports: reports.transpose()?,
        })
    }

    fn values(&self, group: &OpenGroup, codecs: Codecs<'_>) -> Result<StoredArray, BoxError> {
        // A chunk that was never written reads as NaN, which no finished chunk of influences is.
        let number: (DataType, FillValue) = match self.precision {
            Precision::F32 => (data_type::float32(), ZARR_NAN_F32.into()),
            Precision::F64 => (data_type::float64(), ZARR_NAN_F64.into()),
        };
        let [shape, chunks] = [self.grid.shape(), self.grid.chunk_shape()].map(|sides| {
            self.sides(sides)
                .map(|side| side as u64)
                .collect::<Vec<_>>()
        });
        let names = self.axes.iter().map(|axis| axis.name.as_str());
        let dimensions = self.layout.dimensions.iter().copied();
        let dimensions: Vec<&str> = dimensions.chain(names).collect();
        let labelled = self.axes.iter().filter(|axis| !axis.labels.is_empty());
        let labels = labelled.map(|axis| (axis.name.clone(), json!(axis.labels)));
        declare_array(
            group,
            self.layout.name,
            (&shape, &chunks),
            number,
            &dimensions,
            labels.collect(),
            codecs,
        )
    }

    /// The sides of the array, or of a chunk of it, from those of the grid.
    pub(crate) fn sides(&self, grid: [usize; 2]) -> impl Iterator<Item = usize> {
        let grid = grid.into_iter().take(self.layout.dimensions.len());
        grid.chain(self.axes.iter().map(|axis| axis.len))
    }
}

impl Arrays {
    /// Opens the arrays of an output that was declared, those to which numbers go.
    pub(super) fn open(group: &OpenGroup, declaration: &Declaration) -> Result<Self, BoxError> {
        let name = declaration.layout.name;
        let reports = if declaration.solves {
            let reports = ReportArrays::open(group, &declaration.grid)?;
            Some(reports.ok_or("the reports of the solver are missing")?)
        } else {
            None
        };
        Ok(Self {
            values: Array::open(group.storage.clone(), &group.array(name))?,
            reports,
            coordinates: Vec::new(),
        })
    }

    /// The metadata of all arrays by name.
    pub(super) fn metadata(&self) -> HashMap<String, NodeMetadata> {
        let reports = self.reports.iter().flat_map(ReportArrays::all);
        let arrays = self.coordinates.iter().chain(reports);
        let named = arrays.chain([&self.values]).map(|array| {
            let name = array.path().as_str().rsplit('/').next().unwrap_or_default();
            (name.to_owned(), NodeMetadata::Array(array_metadata(array)))
        });
        named.collect()
    }
}
