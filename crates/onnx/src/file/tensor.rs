//! The numbers of tensors, in a file or beside it.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Component, Path, PathBuf},
};

use burn::tensor::{DType, TensorData};
use half::{bf16, f16};
use prost::bytes::Bytes;

use crate::{Error, Result, proto};

/// The most axes of a tensor.
const MOST_AXES: usize = 16;

/// A type of numbers in the numbering of the format.
#[derive(Clone, Copy)]
enum ElementType {
    F32,
    F64,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    Bool,
}

impl ElementType {
    fn of(number: i32) -> Option<Self> {
        Some(match number {
            1 => Self::F32,
            2 => Self::U8,
            3 => Self::I8,
            4 => Self::U16,
            5 => Self::I16,
            6 => Self::I32,
            7 => Self::I64,
            9 => Self::Bool,
            10 => Self::F16,
            11 => Self::F64,
            12 => Self::U32,
            13 => Self::U64,
            16 => Self::Bf16,
            _ => return None,
        })
    }

    fn bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }
}

/// The numbers of a tensor: floats of 32 or 64 bits, integers of 64 bits, or booleans.
///
/// # Errors
/// When their type is not read, or there are not as many as its shape says.
pub(super) fn numbers(tensor: proto::TensorProto, folder: &Path) -> Result<TensorData> {
    let name = tensor.name.clone();
    let wrong = |message: String| Error::Malformed(format!("tensor `{name}`: {message}"));
    let kind = ElementType::of(tensor.kind).ok_or_else(|| {
        wrong(format!(
            "elements of type {} in ONNX's numbering are not read",
            tensor.kind
        ))
    })?;
    let shape = shape(&tensor.sides).map_err(wrong)?;
    let count = shape
        .iter()
        .try_fold(1_usize, |count, &side| count.checked_mul(side));
    let expected = count.and_then(|count| Some((count, count.checked_mul(kind.bytes())?)));
    let (count, bytes) =
        expected.ok_or_else(|| wrong(format!("too large, with shape {shape:?}")))?;
    let data = if tensor.location == 1 {
        let raw = external(&tensor.external, bytes, folder).map_err(wrong)?;
        of_bytes(kind, raw.into(), shape)
    } else if tensor.raw.is_empty() && count > 0 {
        of_lists(kind, tensor, count, &shape)
    } else if tensor.raw.len() == bytes {
        of_bytes(kind, tensor.raw, shape)
    } else {
        Err(format!(
            "{} bytes of numbers, its shape {shape:?} takes {bytes}",
            tensor.raw.len()
        ))
    };
    data.map_err(wrong)
}

fn shape(sides: &[i64]) -> Result<Vec<usize>, String> {
    if sides.len() > MOST_AXES {
        return Err(format!(
            "{} axes, at most {MOST_AXES} are read",
            sides.len()
        ));
    }
    let side = |&side: &i64| {
        let length = u32::try_from(side)
            .ok()
            .and_then(|side| usize::try_from(side).ok());
        length.ok_or_else(|| format!("an axis of length {side}"))
    };
    sides.iter().map(side).collect()
}

/// Numbers as they are in memory, least byte first.
fn of_bytes(kind: ElementType, raw: Bytes, shape: Vec<usize>) -> Result<TensorData, String> {
    /// Numbers of a type, converted.
    macro_rules! each {
        ($type:ty, $bytes:literal, |$number:ident| $converted:expr) => {
            raw.as_chunks::<$bytes>()
                .0
                .iter()
                .map(|bytes| {
                    let $number = <$type>::from_le_bytes(*bytes);
                    $converted
                })
                .collect::<Vec<_>>()
        };
    }
    Ok(match kind {
        ElementType::F32 if cfg!(target_endian = "little") => {
            TensorData::from_bytes_vec(raw.into(), shape, DType::F32)
        }
        ElementType::F32 => TensorData::new(each!(f32, 4, |number| number), shape),
        ElementType::F64 => TensorData::new(each!(f64, 8, |number| number), shape),
        ElementType::F16 => TensorData::new(each!(f16, 2, |number| number.to_f32()), shape),
        ElementType::Bf16 => TensorData::new(each!(bf16, 2, |number| number.to_f32()), shape),
        ElementType::I64 => TensorData::new(each!(i64, 8, |number| number), shape),
        ElementType::I32 => TensorData::new(each!(i32, 4, |number| i64::from(number)), shape),
        ElementType::I16 => TensorData::new(each!(i16, 2, |number| i64::from(number)), shape),
        ElementType::I8 => TensorData::new(each!(i8, 1, |number| i64::from(number)), shape),
        ElementType::U32 => TensorData::new(each!(u32, 4, |number| i64::from(number)), shape),
        ElementType::U16 => TensorData::new(each!(u16, 2, |number| i64::from(number)), shape),
        ElementType::U8 => TensorData::new(each!(u8, 1, |number| i64::from(number)), shape),
        ElementType::Bool => TensorData::new(each!(u8, 1, |number| number != 0), shape),
        ElementType::U64 => {
            let signed: Result<Vec<i64>, _> = each!(u64, 8, |number| i64::try_from(number))
                .into_iter()
                .collect();
            TensorData::new(signed.map_err(|_| TOO_LARGE.to_owned())?, shape)
        }
    })
}

const TOO_LARGE: &str = "an integer that 63 bits do not hold";

/// Numbers in the lists of the message.
fn of_lists(
    kind: ElementType,
    tensor: proto::TensorProto,
    count: usize,
    shape: &[usize],
) -> Result<TensorData, String> {
    let check = |length: usize| {
        let fits = length == count;
        fits.then_some(())
            .ok_or_else(|| format!("{length} numbers, its shape {shape:?} takes {count}"))
    };
    /// A list, if it has the right length.
    macro_rules! list {
        ($field:ident) => {{
            check(tensor.$field.len())?;
            tensor.$field.into_iter()
        }};
    }
    let shape = shape.to_vec();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "16 bits of a float, in a list of wider integers"
    )]
    let bits = |number: i32| number as u16;
    Ok(match kind {
        ElementType::F32 => TensorData::new(list!(floats).collect::<Vec<f32>>(), shape),
        ElementType::F64 => TensorData::new(list!(doubles).collect::<Vec<f64>>(), shape),
        ElementType::F16 => {
            let floats = list!(ints).map(|number| f16::from_bits(bits(number)).to_f32());
            TensorData::new(floats.collect::<Vec<f32>>(), shape)
        }
        ElementType::Bf16 => {
            let floats = list!(ints).map(|number| bf16::from_bits(bits(number)).to_f32());
            TensorData::new(floats.collect::<Vec<f32>>(), shape)
        }
        ElementType::I64 => TensorData::new(list!(longs).collect::<Vec<i64>>(), shape),
        ElementType::U32 | ElementType::U64 => {
            let signed: Result<Vec<i64>, _> = list!(unsigned).map(i64::try_from).collect();
            TensorData::new(signed.map_err(|_| TOO_LARGE.to_owned())?, shape)
        }
        ElementType::Bool => TensorData::new(
            list!(ints).map(|number| number != 0).collect::<Vec<bool>>(),
            shape,
        ),
        ElementType::I32
        | ElementType::I16
        | ElementType::I8
        | ElementType::U16
        | ElementType::U8 => {
            TensorData::new(list!(ints).map(i64::from).collect::<Vec<i64>>(), shape)
        }
    })
}

/// Bytes beside the file, read at their position.
fn external(
    entries: &[proto::EntryProto],
    expected: usize,
    folder: &Path,
) -> Result<Vec<u8>, String> {
    let entry = |key: &str| {
        let entry = entries.iter().find(|entry| entry.key == key);
        entry.map(|entry| entry.value.as_str())
    };
    let number = |key: &str| {
        let number = entry(key).map(|text| text.parse::<u64>().map_err(|_| text));
        number
            .transpose()
            .map_err(|text| format!("its {key} is `{text}`, which is no number"))
    };
    let location =
        entry("location").ok_or("its numbers are beside the file, which does not say where")?;
    let path = inside(folder, location)?;
    let offset = number("offset")?.unwrap_or(0);
    let bytes = u64::try_from(expected).map_err(|error| error.to_string())?;
    if let Some(length) = number("length")?.filter(|&length| length != bytes) {
        return Err(format!(
            "{length} bytes in {}, its shape takes {bytes}",
            path.display()
        ));
    }
    let failed = |error: std::io::Error| {
        format!(
            "its numbers are in {}: {error}; keep the two files together",
            path.display()
        )
    };
    let mut file = File::open(&path).map_err(failed)?;
    let there = file.metadata().map_err(failed)?.len();
    if offset.checked_add(bytes).is_none_or(|end| end > there) {
        return Err(format!(
            "bytes {offset} to {offset} + {bytes} of {}, which has {there}",
            path.display()
        ));
    }
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut raw = vec![0; expected];
    file.read_exact(&mut raw).map_err(failed)?;
    Ok(raw)
}

/// A path inside a folder, whatever links there are.
fn inside(folder: &Path, location: &str) -> Result<PathBuf, String> {
    let outside =
        || format!("its numbers are at `{location}`, which is outside the folder of the file");
    let relative = Path::new(location);
    let mut components = relative.components();
    if !components.all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(outside());
    }
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let path = folder.join(relative);
    match (path.canonicalize(), folder.canonicalize()) {
        (Ok(real), Ok(folder)) if !real.starts_with(&folder) => Err(outside()),
        // A file that is not there is an error when it is opened.
        _ => Ok(path),
    }
}
