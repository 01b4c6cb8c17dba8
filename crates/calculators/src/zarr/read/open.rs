use serde_json::{Map, Value};

use super::matrix::StoredMatrix;
use crate::{
    Error, Result,
    zarr::{
        format::OWN,
        layout::ArrayLayout,
        place::{Location, Occupant, OpenGroup},
    },
};

/// The attributes of an output of this crate: the caller's, and under `influence` its own.
///
/// # Errors
/// [`Error::NotZarr`] when there is no such output, [`Error::Store`] when it cannot be read.
pub fn attributes(location: impl Into<Location>) -> Result<Map<String, Value>> {
    let group = location.into().open()?;
    attributes_at(&group, "an output of this library")
}

fn attributes_at(group: &OpenGroup, expected: &'static str) -> Result<Map<String, Value>> {
    let found = match group.occupant()? {
        Occupant::Output(attributes) => return Ok(attributes),
        Occupant::Other(found) => found,
        Occupant::Nothing if group.is_absent() => {
            return Err(Error::Absent {
                path: group.name.clone(),
                expected,
            });
        }
        Occupant::Nothing => "no zarr group".into(),
    };
    Err(Error::NotZarr {
        path: group.name.clone(),
        expected,
        found,
    })
}

/// Opens the values of an output of this crate, of one of these kinds; with its kind and its
/// attributes.
pub(super) fn open(
    group: &OpenGroup,
    kinds: &[ArrayLayout],
    expected: &'static str,
) -> Result<(ArrayLayout, Map<String, Value>, StoredMatrix)> {
    let attributes = attributes_at(group, expected)?;
    let refuse = |found: String| Error::NotZarr {
        path: group.name.clone(),
        expected,
        found,
    };
    let own = &attributes[OWN];
    if own["declared"] == false {
        // The arrays may be remains of an earlier output that was to be replaced.
        let found = "an output that was only begun; resume or overwrite it";
        return Err(refuse(found.into()));
    }
    let kind = kinds.iter().find(|kind| own["kind"] == kind.name);
    let kind = *kind.ok_or_else(|| refuse(format!("an output of kind {}", own["kind"])))?;
    let matrix = StoredMatrix::open(group, kind)?;
    Ok((kind, attributes, matrix))
}
