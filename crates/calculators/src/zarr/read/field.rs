use std::{
    fmt::{self, Debug},
    ops::Range,
};

use half::{bf16, f16};
use influence_core::{Error as CoreError, FieldSource, Result as CoreResult, Values};
use ndarray::ArrayD;
use serde_json::Value;
use zarrs::{
    array::{Array, ArrayMetadataV3, ArraySubset, CodecOptions, DataType, ElementOwned, data_type},
    storage::{ReadableWritableListableStorageTraits, StoreKey, StorePrefix},
};

use super::meaning::{Meaning, NumberKind};
use crate::{
    Error, Result,
    error::BoxError,
    zarr::{
        codecs,
        place::{Location, OpenGroup},
    },
};

const EXPECTED: &str = "a zarr array of numbers with samples along its first axis";

/// Reads numbers of one type.
type Read = fn(&ZarrField, &ArraySubset) -> Result<Values>;

/// A numeric Zarr array of version 3 or 2, samples along its first axis, read by range.
///
/// A chunk is decoded as a whole for each range that meets it, so chunks of about as many samples
/// as are read at a time serve best; of a sharded array only the inner chunks are decoded. Floats
/// keep their precision (16-bit ones become 32-bit); integers and bools of every width become
/// 64-bit integers.
///
/// A chunk that is not there holds fill values: the format lets writers leave such chunks out.
///
/// Attributes say what numbers mean, as in xarray: `scale_factor` and `add_offset` are applied
/// in 64-bit floats; a number that is `_FillValue` or `missing_value`, or the fill value of an
/// array of version 2 with `_ARRAY_DIMENSIONS`, is missing, and its sample cannot be read. Arrays
/// of times and of integers whose sign is turned are refused.
///
/// # Examples
/// ```
#[doc = include_str!("../../../doc/setup.rs")]
/// use influence_calculators::{Calculator, Sequential, ZarrOptions, zarr::ZarrField};
/// use influence_core::FieldSource;
///
/// let folder = std::env::temp_dir().join(format!("influence-field-{}", std::process::id()));
/// let options = ZarrOptions::default().overwriting();
/// Sequential::new(model).influences(&test, &train).to_zarr(&folder, &options)?;
///
/// let influences = ZarrField::open(&folder, "influences")?;
/// assert_eq!(influences.shape(), [3, 7]);
/// assert_eq!(influences.rows(1..3)?.shape(), [2, 7]);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ZarrField {
    array: Array<dyn ReadableWritableListableStorageTraits>,
    name: String,
    shape: Vec<usize>,
    read: Read,
    meaning: Meaning,
}

impl Debug for ZarrField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZarrField")
            .field("name", &self.name)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

impl ZarrField {
    /// Opens the array at this path below the location, an empty path for the location itself.
    ///
    /// # Errors
    /// [`Error::NotZarr`] when there is no numeric array with a first axis, [`Error::Store`] when
    /// its metadata cannot be read.
    pub fn open(location: impl Into<Location>, array: &str) -> Result<Self> {
        let group = location.into().open()?;
        let array = array.trim_matches('/');
        let path = group.array(array);
        let name = format!("{}/{array}", group.name);
        let name = name.trim_end_matches('/').to_owned();
        let failed = |source: BoxError| Error::store(&name, "open the array", source);
        let refuse = |found: String| Error::NotZarr {
            path: name.clone(),
            expected: EXPECTED,
            found,
        };
        let found = match node(&group, path.trim_matches('/'), &name).map_err(failed)? {
            _ if group.is_absent() => {
                let (path, expected) = (name.clone(), EXPECTED);
                return Err(Error::Absent { path, expected });
            }
            Node::Array(found) => found,
            Node::Other(found) => return Err(refuse(found)),
        };
        let Metadata { array, fill } = *found;
        let path = format!("/{}", path.trim_matches('/'));
        let array = Array::new_with_metadata(group.storage, &path, array.into());
        let array = array.map_err(|source| failed(codecs::unreadable(&source)))?;
        let shape: Result<Vec<usize>, _> =
            array.shape().iter().map(|&side| side.try_into()).collect();
        let shape = shape.map_err(|source| failed(Box::new(source)))?;
        if shape.is_empty() {
            return Err(refuse("a single number".into()));
        }
        let (stored, read) = reader(array.data_type())
            .ok_or_else(|| refuse(format!("an array of type {:?}", array.data_type())))?;
        let meaning = Meaning::of(array.attributes(), fill.as_ref(), stored).map_err(refuse)?;
        Ok(Self {
            array,
            name,
            shape,
            read,
            meaning,
        })
    }

    fn retrieve<T: ElementOwned>(&self, subset: &ArraySubset) -> Result<ArrayD<T>> {
        // The caller decides which threads are busy.
        let options = CodecOptions::default().with_concurrent_target(1);
        self.array
            .retrieve_array_subset_opt::<ArrayD<T>>(subset, &options)
            .map_err(|source| Error::store(&self.name, "read samples", source))
    }

    fn plain<T: ElementOwned>(&self, subset: &ArraySubset) -> Result<Values>
    where
        Values: From<ArrayD<T>>,
    {
        Ok(self.retrieve::<T>(subset)?.into())
    }

    fn integers<T: ElementOwned + Into<i64>>(&self, subset: &ArraySubset) -> Result<Values> {
        Ok(self.retrieve::<T>(subset)?.mapv(Into::<i64>::into).into())
    }

    fn unsigned(&self, subset: &ArraySubset) -> Result<Values> {
        let numbers = self.retrieve::<u64>(subset)?;
        let signed: Result<Vec<i64>, _> = numbers.iter().map(|&number| number.try_into()).collect();
        let signed = signed.map_err(|source: std::num::TryFromIntError| {
            Error::store(&self.name, "read an integer as 64 signed bits", source)
        })?;
        Values::new(signed, numbers.shape())
            .map_err(|source| Error::store(&self.name, "read samples", source))
    }
}

impl FieldSource for ZarrField {
    fn name(&self) -> &str {
        &self.name
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn rows(&self, range: Range<usize>) -> CoreResult<Values> {
        CoreError::check_range(&range, self.shape[0])?;
        let others = self.shape[1..].iter().map(|&side| 0..side);
        let ranges: Vec<Range<u64>> = std::iter::once(range.clone())
            .chain(others)
            .map(|range| range.start as u64..range.end as u64)
            .collect();
        let subset = ArraySubset::new_with_ranges(&ranges);
        let stored = (self.read)(self, &subset).map_err(CoreError::dataset)?;
        let sample: usize = self.shape[1..].iter().product();
        self.meaning.apply(stored).map_err(|(place, number)| {
            CoreError::dataset(Error::Masked {
                array: self.name.clone(),
                row: range.start + place / sample.max(1),
                number,
            })
        })
    }
}

fn reader(number: &DataType) -> Option<(NumberKind, Read)> {
    use NumberKind::{Bool, Float, Signed, Unsigned};

    let readers: [(DataType, NumberKind, Read); 13] = [
        (data_type::float32(), Float, ZarrField::plain::<f32>),
        (data_type::float64(), Float, ZarrField::plain::<f64>),
        (data_type::float16(), Float, |field, subset| {
            Ok(field.retrieve::<f16>(subset)?.mapv(f16::to_f32).into())
        }),
        (data_type::bfloat16(), Float, |field, subset| {
            Ok(field.retrieve::<bf16>(subset)?.mapv(bf16::to_f32).into())
        }),
        (data_type::bool(), Bool, ZarrField::integers::<bool>),
        (data_type::int8(), Signed, ZarrField::integers::<i8>),
        (data_type::int16(), Signed, ZarrField::integers::<i16>),
        (data_type::int32(), Signed, ZarrField::integers::<i32>),
        (data_type::int64(), Signed, ZarrField::plain::<i64>),
        (data_type::uint8(), Unsigned, ZarrField::integers::<u8>),
        (data_type::uint16(), Unsigned, ZarrField::integers::<u16>),
        (data_type::uint32(), Unsigned, ZarrField::integers::<u32>),
        (data_type::uint64(), Unsigned, ZarrField::unsigned),
    ];
    let mut readers = readers.into_iter();
    readers.find_map(|(known, stored, read)| (known == *number).then_some((stored, read)))
}

/// The node at a path.
enum Node {
    Array(Box<Metadata>),
    Other(String),
}

/// The metadata of an array, whatever its version.
struct Metadata {
    array: ArrayMetadataV3,
    /// The fill value, where it stands for missing numbers.
    fill: Option<Value>,
}

/// Reads the metadata at a path within a group, which messages call by `name`.
fn node(group: &OpenGroup, path: &str, name: &str) -> Result<Node, BoxError> {
    let get = |file: &str| -> Result<_, BoxError> {
        let key = format!("{path}/{file}");
        Ok(group
            .storage
            .get(&StoreKey::new(key.trim_start_matches('/'))?)?)
    };
    if let Some(text) = get("zarr.json")? {
        let text: Value = serde_json::from_slice(&text)?;
        if text["node_type"] != "group" {
            let array = codecs::of_version_3(text)?;
            return Ok(Node::Array(Box::new(Metadata { array, fill: None })));
        }
    } else if let Some(text) = get(".zarray")? {
        let attributes = get(".zattrs")?.map(|text| serde_json::from_slice(&text));
        let attributes: Value = attributes.transpose()?.unwrap_or_default();
        let text: Value = serde_json::from_slice(&text)?;
        // This is how xarray reads the fill value of arrays that have these dimensions, and of no
        // others.
        let fill = attributes
            .get("_ARRAY_DIMENSIONS")
            .and_then(|_| text.get("fill_value"))
            .cloned();
        let array = codecs::of_version_2(text, attributes)?;
        return Ok(Node::Array(Box::new(Metadata { array, fill })));
    } else if get(".zgroup")?.is_none() {
        return Ok(Node::Other("neither zarr.json nor .zarray".into()));
    }
    let names = names_below(group, path, name)?;
    Ok(Node::Other(format!(
        "a zarr group, not an array; its arrays: {names}"
    )))
}

/// The paths of the nodes in a group.
fn names_below(group: &OpenGroup, path: &str, name: &str) -> Result<String, BoxError> {
    let prefix = if path.is_empty() {
        String::new()
    } else {
        format!("{path}/")
    };
    let below = group.storage.list_dir(&StorePrefix::new(prefix)?)?;
    let names = below.prefixes().iter().map(|prefix| {
        let below = prefix.as_str().trim_end_matches('/');
        below.rsplit('/').next().unwrap_or_default()
    });
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    let shown = |below: &&str| format!("{name}/{below}");
    Ok(if names.is_empty() {
        "none".into()
    } else {
        names.iter().map(shown).collect::<Vec<_>>().join(", ")
    })
}
