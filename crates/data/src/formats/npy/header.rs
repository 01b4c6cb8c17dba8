//! Headers of numpy files: checked before they are parsed, then read.

use std::io::Read;

use npyz::{DType, Endianness, NpyFile, Order, TypeChar, TypeStr};

use super::super::file::{Number, StoredArray};

/// The first bytes of a numpy file.
const MAGIC: &[u8] = b"\x93NUMPY";
/// The header of an array of numbers is much shorter, whatever its shape.
const MAX_HEADER: u64 = 1 << 20;
/// The brackets of such a header are two deep.
const MAX_DEPTH: usize = 16;

/// Checks the start of a numpy file before its header is parsed: the parser allocates as many bytes
/// as the header claims to have, and follows its brackets however deep they go. Whether it is a
/// header at all is left to the parser.
///
/// # Errors
/// The problem, when the header is too long or too deep, or the file cannot be read.
pub(in crate::formats) fn check_header(file: impl Read) -> Result<(), String> {
    let mut start = Vec::new();
    let mut file = file.take(MAX_HEADER);
    let read = file.by_ref().take(12).read_to_end(&mut start);
    read.map_err(|error| format!("not a numpy array: {error}"))?;
    if !start.starts_with(MAGIC) {
        return Ok(());
    }
    let (length, text): (u64, &[u8]) = match start.as_slice() {
        [_, _, _, _, _, _, 1, _, a, b, text @ ..] => (u16::from_le_bytes([*a, *b]).into(), text),
        [_, _, _, _, _, _, _, _, a, b, c, d] => {
            (u32::from_le_bytes([*a, *b, *c, *d]).into(), &[][..])
        }
        _ => return Ok(()),
    };
    let most = MAX_HEADER - start.len() as u64;
    if length > most {
        return Err(format!(
            "not a numpy array: expected a header of at most {most} bytes, got {length}"
        ));
    }
    let mut text = text.to_vec();
    let read = file
        .take(length.saturating_sub(text.len() as u64))
        .read_to_end(&mut text);
    read.map_err(|error| format!("not a numpy array: {error}"))?;
    let mut depth = 0_usize;
    for byte in text {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(format!(
                "not a numpy array: the brackets of its header are more than {MAX_DEPTH} deep"
            ));
        }
    }
    Ok(())
}

/// The layout in the header, without the place where the numbers start.
pub(super) fn layout<R: Read>(npy: &NpyFile<R>) -> Result<StoredArray, String> {
    let DType::Plain(kind) = npy.dtype() else {
        return Err(
            "expected plain numbers, got a structured array; save one array of its columns, as numpy.lib.recfunctions.structured_to_unstructured makes"
                .into(),
        );
    };
    check_kind(&kind)?;
    let sides = npy.shape().iter().map(|&side| usize::try_from(side));
    let shape: Vec<usize> = sides.map(|side| side.unwrap_or(usize::MAX)).collect();
    if shape.is_empty() {
        return Err("expected samples along a first axis, got a single number".into());
    }
    let number = number(&kind).ok_or_else(|| not_numbers(&kind))?;
    Ok(StoredArray {
        start: 0,
        fortran: npy.order() == Order::Fortran && shape.len() > 1,
        shape,
        number,
        big_endian: kind.endianness() == Endianness::Big,
    })
}

/// Refuses arrays of anything but numbers.
///
/// # Errors
/// The type that the array holds, and what to save in its place.
pub(in crate::formats) fn check_kind(kind: &TypeStr) -> Result<(), String> {
    number(kind).map(drop).ok_or_else(|| not_numbers(kind))
}

fn not_numbers(kind: &TypeStr) -> String {
    let expected = "expected floats of 2, 4 or 8 bytes, integers or bools, got";
    match kind.type_char() {
        TypeChar::Object => format!(
            "{expected} {kind}, which is Python objects; save numbers, as array.astype(\"float32\") makes"
        ),
        TypeChar::UnicodeStr | TypeChar::ByteStr => {
            format!(
                "{expected} {kind}, which is text; save numbers, or names of classes one on each line, as numpy.savetxt(\"y.txt\", y, fmt=\"%s\") does"
            )
        }
        TypeChar::DateTime | TypeChar::TimeDelta => format!(
            "{expected} {kind}, which is times; save numbers, as array.astype(\"int64\") makes"
        ),
        TypeChar::Complex => format!(
            "{expected} {kind}, which is complex numbers; save real and imaginary parts side by side"
        ),
        _ => format!("{expected} {kind}; save another type, as array.astype(\"float64\") makes"),
    }
}

fn number(kind: &TypeStr) -> Option<Number> {
    Some(match (kind.type_char(), kind.size_field()) {
        (TypeChar::Float, 2) => Number::F16,
        (TypeChar::Float, 4) => Number::F32,
        (TypeChar::Float, 8) => Number::F64,
        (TypeChar::Bool, 1) => Number::Bool,
        (TypeChar::Int, 1) => Number::I8,
        (TypeChar::Int, 2) => Number::I16,
        (TypeChar::Int, 4) => Number::I32,
        (TypeChar::Int, 8) => Number::I64,
        (TypeChar::Uint, 1) => Number::U8,
        (TypeChar::Uint, 2) => Number::U16,
        (TypeChar::Uint, 4) => Number::U32,
        (TypeChar::Uint, 8) => Number::U64,
        _ => return None,
    })
}
