//! Banks of retrainings: what models make of the test points after trainings on parts of the
//! training points.
//!
//! A bank is a group whose attributes say what its numbers depend on. Each *study* in it, a list of
//! subsets and a list of seeds, is a group of its own:
//!
//! ```text
//! zarr.json            attributes: the model, its training, the data
//! STUDY/kept           (subset, train), which training points a subset has
//! STUDY/seeds          (seed)
//! STUDY/losses         (subset, seed, test), 64-bit floats
//! STUDY/classes        (subset, seed, test), the chosen class, −1 where there is none
//! ```
//!
//! A retraining is one chunk of the last two arrays, a subset one chunk of the first. As in an
//! [output](super), a chunk is there as a whole or not at all, and one that is missing or damaged
//! is computed again; nothing else says how far a bank is. Every write is the same whoever makes
//! it, so any number of processes fill one bank and nothing is locked. A study may grow, by subsets
//! and by seeds behind those that it has.

use std::{
    collections::BTreeSet,
    fmt::{self, Debug},
};

use ndarray::ArrayView2;
use serde_json::{Map, Value, json};
use zarrs::array::{
    Array, ArrayCreateError, ArrayError, DataType, Element, ElementOwned, FillValue, ZARR_NAN_F64,
    data_type,
};

use super::{
    format::{FORMAT, OWN},
    layout::{Codecs, StoredArray, codec_options, create_group, declare_array},
    output::{ZarrOptions, check_same},
    place::{Location, Occupant, OpenGroup},
};
use crate::{Error, Result, error::BoxError};

/// What the own attributes of a bank call it.
const KIND: &str = "bank";
/// The class of a test point where the model chooses none.
const NO_CLASS: i32 = -1;

/// A bank that is open.
pub struct StoredBank {
    group: OpenGroup,
}

/// Which retrainings a study has.
#[derive(Debug, Clone, Copy)]
pub struct StudyDesign<'a> {
    /// Its name in the bank: letters, digits, `-` and `_`.
    pub name: &'a str,
    /// Which training points each subset has, `(subsets, train)`.
    pub kept: ArrayView2<'a, bool>,
    /// The seed of each retraining of a subset.
    pub seeds: &'a [u64],
    /// The number of test points.
    pub test: usize,
}

/// The retrainings of a study.
pub struct StoredStudy {
    name: String,
    losses: StoredArray,
    classes: StoredArray,
}

/// What is stored of a retraining.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRetraining {
    /// The loss of each test point.
    pub losses: Vec<f64>,
    /// The class that is chosen for each test point, if there is one.
    pub classes: Option<Vec<i32>>,
}

impl Debug for StoredBank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredBank({})", self.group.name)
    }
}

impl Debug for StoredStudy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredStudy({})", self.name)
    }
}

impl StoredBank {
    /// Opens a bank of numbers that depend on what these attributes say, or makes one.
    ///
    /// # Errors
    /// [`Error::Differs`], with the first difference, when a bank is there whose numbers depend on
    /// something else; [`Error::NotZarr`] when the place is taken by anything else;
    /// [`Error::ReadOnly`], [`Error::Store`].
    pub fn open(location: &Location, attributes: &Map<String, Value>) -> Result<Self> {
        let group = location.open_writable()?;
        let mut attributes = attributes.clone();
        attributes.insert(OWN.to_owned(), json!({ "format": FORMAT, "kind": KIND }));
        let refuse = |found: String| Error::NotZarr {
            path: group.name.clone(),
            expected: "nothing or a bank of retrainings; choose another path",
            found,
        };
        match location.survey(&group)? {
            Occupant::Output(stored) if stored[OWN]["kind"] == KIND => {
                check_same(&group.name, &stored, &attributes, &BTreeSet::new())?;
            }
            Occupant::Output(_) => return Err(refuse("an output".into())),
            Occupant::Other(found) => return Err(refuse(found)),
            Occupant::Nothing => {
                let made = create_group(&group, &attributes);
                let made =
                    made.map_err(|source| Error::store(&group.name, "make a bank", source))?;
                // Another process was first: it must have made the same.
                if !made {
                    return Self::open(location, &attributes);
                }
            }
        }
        Ok(Self { group })
    }

    /// Where it is, as messages show it.
    pub fn shown(&self) -> &str {
        &self.group.name
    }

    /// Opens a study, or makes it. Subsets and seeds that are there already must be the first of
    /// those given, or those given the first of them.
    ///
    /// # Errors
    /// [`Error::Differs`], with the first difference, when there is another study of that name;
    /// [`Error::Option`] for another kind of name; [`Error::Store`].
    pub fn study(&self, design: &StudyDesign<'_>) -> Result<StoredStudy> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if design.name.is_empty() || !design.name.bytes().all(plain) {
            return Err(Error::Option {
                name: "name of a study",
                requirement: "letters, digits, - and _",
                got: design.name.to_owned(),
            });
        }
        let mut group = self.group.within(design.name);
        group.name = format!("{}/{}", self.group.name, design.name);
        let failed = |source| Error::store(&group.name, "open a study", source);
        if matches!(group.occupant()?, Occupant::Nothing) {
            let own = json!({ OWN: { "format": FORMAT, "kind": "study" } });
            create_group(&group, own.as_object().unwrap_or(&Map::new())).map_err(failed)?;
        }
        design.in_group(&group)
    }
}

impl StudyDesign<'_> {
    fn in_group(&self, group: &OpenGroup) -> Result<StoredStudy> {
        let codecs = ZarrOptions::default().codecs()?;
        let (subsets, points) = self.kept.dim();
        let (seeds, test) = (self.seeds.len(), self.test);
        let array = |name, shape: &[usize], kind, dimensions: &[&str]| {
            grown(group, name, shape, kind, dimensions, &codecs)
        };
        let kept = array(
            "kept",
            &[subsets, points],
            (data_type::bool(), false.into()),
            &["subset", "train"],
        )?;
        for (subset, row) in self.kept.rows().into_iter().enumerate() {
            agree(group, &kept, &[subset, 0], &row.to_vec(), |place| {
                format!("kept[{subset}][{place}]")
            })?;
        }
        let stored = array(
            "seeds",
            &[seeds],
            (data_type::uint64(), 0_u64.into()),
            &["seed"],
        )?;
        for (place, &seed) in self.seeds.iter().enumerate() {
            agree(group, &stored, &[place], &[seed], |_| {
                format!("seeds[{place}]")
            })?;
        }
        let shape = [subsets, seeds, test];
        let dimensions = ["subset", "seed", "test"];
        Ok(StoredStudy {
            losses: array(
                "losses",
                &shape,
                (data_type::float64(), ZARR_NAN_F64.into()),
                &dimensions,
            )?,
            classes: array(
                "classes",
                &shape,
                (data_type::int32(), NO_CLASS.into()),
                &dimensions,
            )?,
            name: group.name.clone(),
        })
    }
}

impl StoredStudy {
    /// The retraining on a subset with a seed, by their numbers; `None` where it is missing or
    /// damaged.
    ///
    /// # Errors
    /// [`Error::Store`] when the store cannot be read.
    pub fn read(&self, [subset, seed]: [usize; 2]) -> Result<Option<StoredRetraining>> {
        let at = [subset, seed, 0];
        let losses = chunk::<f64>(&self.name, &self.losses, &at)?;
        let classes = chunk::<i32>(&self.name, &self.classes, &at)?;
        Ok(losses
            .zip(classes)
            .map(|(losses, classes)| StoredRetraining {
                losses,
                classes: Some(classes)
                    .filter(|classes| classes.iter().any(|&class| class != NO_CLASS)),
            }))
    }

    /// Writes a retraining, whole: losses and classes for each test point.
    ///
    /// # Errors
    /// [`Error::Store`] when the store cannot be written to, or there are not as many numbers as
    /// test points.
    pub fn write(&self, [subset, seed]: [usize; 2], retraining: &StoredRetraining) -> Result<()> {
        let at = [subset, seed, 0];
        let none = || vec![NO_CLASS; retraining.losses.len()];
        let classes = retraining.classes.clone().unwrap_or_else(none);
        // The losses come last: without them a retraining is not there.
        store(&self.name, &self.classes, &at, &classes)?;
        store(&self.name, &self.losses, &at, &retraining.losses)
    }
}

/// An array of at least this shape, with one chunk for each place along all axes but the last, and
/// along the only one: opened, declared, or made longer.
fn grown(
    group: &OpenGroup,
    name: &str,
    shape: &[usize],
    kind: (DataType, FillValue),
    dimensions: &[&str],
    codecs: Codecs<'_>,
) -> Result<StoredArray> {
    let failed = |source| Error::store(&group.name, "open a study", source);
    let stored = match Array::open(group.storage.clone(), &group.array(name)) {
        Ok(array) => Some(array),
        Err(ArrayCreateError::MissingMetadata) => None,
        Err(error) => return Err(failed(BoxError::from(error))),
    };
    let mut shape: Vec<u64> = shape.iter().map(|&side| side as u64).collect();
    let mut chunks = vec![1; shape.len()];
    if let Some(stored) = stored {
        let whole = shape.len().max(2) - 1;
        if shape.len() > 1 && stored.shape()[whole..] != shape[whole..] {
            return Err(Error::Differs {
                path: group.name.clone(),
                setting: format!("the number of {} points", dimensions[whole]),
                stored: stored.shape()[whole].to_string(),
                given: shape[whole].to_string(),
            });
        }
        for (side, &stored) in shape.iter_mut().zip(stored.shape()) {
            *side = stored.max(*side);
        }
        if stored.shape() == shape {
            return Ok(stored);
        }
    }
    if let [_, .., whole] = &shape[..] {
        chunks[shape.len() - 1] = (*whole).max(1);
    }
    declare_array(
        group,
        name,
        (&shape, &chunks),
        kind,
        dimensions,
        Map::new(),
        codecs,
    )
    .map_err(failed)
}

/// Holds a chunk against what it is to be, and writes it where it is missing or damaged.
fn agree<T: Element + ElementOwned + PartialEq + ToString>(
    group: &OpenGroup,
    array: &StoredArray,
    at: &[usize],
    given: &[T],
    setting: impl Fn(usize) -> String,
) -> Result<()> {
    let Some(stored) = chunk::<T>(&group.name, array, at)? else {
        return store(&group.name, array, at, given);
    };
    let other = stored
        .iter()
        .zip(given)
        .position(|(stored, given)| stored != given);
    match other {
        None => Ok(()),
        Some(place) => Err(Error::Differs {
            path: group.name.clone(),
            setting: setting(place),
            stored: stored[place].to_string(),
            given: given[place].to_string(),
        }),
    }
}

/// The numbers of a chunk; `None` where it is missing or damaged.
fn chunk<T: ElementOwned>(path: &str, array: &StoredArray, at: &[usize]) -> Result<Option<Vec<T>>> {
    let at: Vec<u64> = at.iter().map(|&index| index as u64).collect();
    match array.retrieve_chunk_if_exists_opt::<Vec<T>>(&at, &codec_options()) {
        Ok(found) => Ok(found),
        // The store failed, and the chunk may be sound: not a reason to compute it again.
        Err(source @ ArrayError::StorageError(_)) => {
            Err(Error::store(path, "read a chunk", source))
        }
        Err(damage) => {
            tracing::warn!(path, %damage, "a damaged chunk is computed again");
            Ok(None)
        }
    }
}

fn store<T: Element>(path: &str, array: &StoredArray, at: &[usize], values: &[T]) -> Result<()> {
    let at: Vec<u64> = at.iter().map(|&index| index as u64).collect();
    array
        .store_chunk_opt(&at, values, &codec_options())
        .map_err(|source| Error::store(path, "write a chunk", source))
}
