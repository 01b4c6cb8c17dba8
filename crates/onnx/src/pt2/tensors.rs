//! The tensors of an archive: numbers of whole storages, and views of them.

use std::collections::{BTreeMap, HashMap};

use burn::tensor::{DType, TensorData};
use half::{bf16, f16};

use crate::{Result, error::malformed};

use super::{
    archive::Archive,
    schema::{Payload, SizeSchema, TensorMeta},
};

/// The most axes of a tensor.
const MOST_AXES: usize = 16;

/// The tensors of an archive by their names.
pub(super) struct Tensors {
    payloads: BTreeMap<String, (&'static str, Payload)>,
    /// The storage that was read last: tensors of one storage often follow each other.
    last: Option<(String, Vec<u8>)>,
}

/// The numbers that a tensor has, wherever they are: two tensors with one place are one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TensorPlace {
    path: String,
    offset: usize,
    sides: Vec<usize>,
    steps: Vec<usize>,
    dtype: i64,
}

impl Tensors {
    /// Reads where tensors are, but not their numbers.
    pub(super) fn open(archive: &mut Archive) -> Result<Self> {
        let mut payloads = BTreeMap::new();
        for kind in ["constants", "weights"] {
            let config = archive.payloads(kind)?.config;
            payloads.extend(
                config
                    .into_iter()
                    .map(|(name, payload)| (name, (kind, payload))),
            );
        }
        Ok(Self {
            payloads,
            last: None,
        })
    }

    /// Where the numbers of a tensor are, and whether it is trained.
    pub(super) fn place(&self, name: &str) -> Result<(TensorPlace, bool)> {
        let (kind, payload) = self
            .payloads
            .get(name)
            .ok_or_else(|| malformed(format_args!("the archive has no tensor `{name}`")))?;
        let meta = match &payload.tensor_meta {
            Some(meta) if !payload.use_pickle => meta,
            _ => {
                return Err(malformed(format_args!(
                    "tensor `{name}` is a pickled object of Python, which is not read; export the network with plain tensors"
                )));
            }
        };
        if payload.path_name.contains(['/', '\\']) {
            return Err(malformed(format_args!(
                "tensor `{name}` is at `{}`, which is outside its folder",
                payload.path_name
            )));
        }
        let path = format!("data/{kind}/{}", payload.path_name);
        let wrong = |message| malformed(format_args!("tensor `{name}`: {message}"));
        Ok((place(path, meta).map_err(wrong)?, meta.requires_grad))
    }

    /// The numbers at a place: floats of 32 or 64 bits, integers of 64 bits, or booleans.
    pub(super) fn numbers(
        &mut self,
        name: &str,
        place: &TensorPlace,
        archive: &mut Archive,
    ) -> Result<TensorData> {
        if self
            .last
            .as_ref()
            .is_none_or(|(path, _)| *path != place.path)
        {
            self.last = Some((place.path.clone(), archive.member(&place.path)?));
        }
        let bytes = self.last.as_ref().map_or(&[][..], |(_, bytes)| bytes);
        place
            .read(bytes)
            .map_err(|message| malformed(format_args!("tensor `{name}`: {message}")))
    }

    /// Names of two different tensors that share some of their numbers, if there are any.
    pub(super) fn overlap<'a>(places: &[(&'a str, TensorPlace)]) -> Option<(&'a str, &'a str)> {
        let mut by_path: HashMap<&str, Vec<(usize, usize, &'a str)>> = HashMap::new();
        for (name, place) in places {
            let range = (place.offset, place.end(), *name);
            by_path.entry(&place.path).or_default().push(range);
        }
        by_path.into_values().find_map(|mut ranges| {
            ranges.sort_unstable();
            let overlapping = ranges.windows(2).find(|pair| pair[1].0 < pair[0].1);
            overlapping.map(|pair| (pair[0].2, pair[1].2))
        })
    }
}

fn place(path: String, meta: &TensorMeta) -> Result<TensorPlace, String> {
    let number = |size: &SizeSchema| match size {
        SizeSchema::AsInt(number) => {
            usize::try_from(*number).map_err(|_| format!("a length of {number}"))
        }
        SizeSchema::AsExpr(expression) => Err(format!(
            "a length that is not fixed: {}",
            expression.expr_str
        )),
    };
    let numbers = |sizes: &[SizeSchema]| sizes.iter().map(number).collect::<Result<Vec<_>, _>>();
    let (sides, steps) = (numbers(&meta.sizes)?, numbers(&meta.strides)?);
    if sides.len() > MOST_AXES || sides.len() != steps.len() {
        return Err(format!(
            "{} axes with {} strides; at most {MOST_AXES} are read",
            sides.len(),
            steps.len()
        ));
    }
    let place = TensorPlace {
        path,
        offset: number(&meta.storage_offset)?,
        sides,
        steps,
        dtype: meta.dtype,
    };
    place.checked_end().ok_or("a length that is too large")?;
    Ok(place)
}

impl TensorPlace {
    /// One past the last number, if that can be counted.
    fn checked_end(&self) -> Option<usize> {
        self.sides
            .iter()
            .try_fold(1_usize, |count, &side| count.checked_mul(side.max(1)))?
            .checked_mul(8)?;
        let axes = self.sides.iter().zip(&self.steps);
        let last = axes.filter(|(side, _)| **side > 0);
        let last = last.map(|(side, step)| (side - 1).checked_mul(*step));
        let last = last.sum::<Option<usize>>()?;
        let some = usize::from(!self.sides.contains(&0));
        self.offset.checked_add(last)?.checked_add(some)
    }

    fn end(&self) -> usize {
        self.checked_end().unwrap_or(usize::MAX)
    }

    fn count(&self) -> usize {
        self.sides.iter().product()
    }

    fn read(&self, bytes: &[u8]) -> Result<TensorData, String> {
        let size = bytes_of(self.dtype).ok_or_else(|| {
            format!(
                "elements of type {} in PyTorch's numbering are not read",
                self.dtype
            )
        })?;
        let held = bytes.len() / size;
        if self.count() > 0 && self.end() > held {
            return Err(format!(
                "{held} numbers, its shape {:?} takes {} of them",
                self.sides,
                self.end()
            ));
        }
        if self.count() > held {
            return Err(format!(
                "shape {:?} repeats {held} numbers; export it as `tensor.clone()`",
                self.sides
            ));
        }
        let ordered = if self.is_plain() {
            bytes[self.offset * size..(self.offset + self.count()) * size].to_vec()
        } else {
            let mut ordered = Vec::with_capacity(self.count() * size);
            for index in self.indices() {
                ordered.extend_from_slice(&bytes[index * size..(index + 1) * size]);
            }
            ordered
        };
        converted(self.dtype, ordered, self.sides.clone())
    }

    /// Whether the numbers lie one after another.
    fn is_plain(&self) -> bool {
        let mut expected = 1;
        let axes = self.sides.iter().zip(&self.steps).rev();
        axes.filter(|(side, _)| **side != 1).all(|(side, step)| {
            let plain = *step == expected;
            expected *= side;
            plain
        })
    }

    /// The places of the numbers in the storage, in the order of the tensor.
    fn indices(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.count()).map(|number| {
            let mut rest = number;
            let axes = self.sides.iter().zip(&self.steps).rev();
            let steps = axes.map(|(side, step)| {
                let along = rest % side;
                rest /= side;
                along * step
            });
            self.offset + steps.sum::<usize>()
        })
    }
}

/// The length of a number in bytes, of a type in PyTorch's numbering.
fn bytes_of(dtype: i64) -> Option<usize> {
    Some(match dtype {
        1 | 2 | 12 => 1,
        3 | 6 | 13 => 2,
        4 | 7 => 4,
        5 | 8 => 8,
        _ => return None,
    })
}

/// Numbers, least byte first.
fn converted(dtype: i64, raw: Vec<u8>, sides: Vec<usize>) -> Result<TensorData, String> {
    /// Numbers of a type, converted.
    macro_rules! each {
        ($type:ty, $bytes:literal, |$number:ident| $converted:expr) => {
            TensorData::new(
                raw.as_chunks::<$bytes>()
                    .0
                    .iter()
                    .map(|bytes| {
                        let $number = <$type>::from_le_bytes(*bytes);
                        $converted
                    })
                    .collect::<Vec<_>>(),
                sides,
            )
        };
    }
    Ok(match dtype {
        7 if cfg!(target_endian = "little") => TensorData::from_bytes_vec(raw, sides, DType::F32),
        7 => each!(f32, 4, |number| number),
        8 => each!(f64, 8, |number| number),
        6 => each!(f16, 2, |number| number.to_f32()),
        13 => each!(bf16, 2, |number| number.to_f32()),
        5 => each!(i64, 8, |number| number),
        4 => each!(i32, 4, |number| i64::from(number)),
        3 => each!(i16, 2, |number| i64::from(number)),
        2 => each!(i8, 1, |number| i64::from(number)),
        1 => each!(u8, 1, |number| i64::from(number)),
        12 => each!(u8, 1, |number| number != 0),
        other => return Err(format!("type {other} in PyTorch's numbering is not read")),
    })
}
