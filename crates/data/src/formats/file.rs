//! Arrays whose numbers lie in a file without gaps, read at their positions.

use std::{
    fs::File,
    io::{self, ErrorKind},
    ops::Range,
    path::{Path, PathBuf},
};

use bytemuck::Pod;
use half::{bf16, f16};
use influence_core::{Error as CoreError, Result as CoreResult, Values};

use crate::error::{Error, Result};

/// The type in which a file holds its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    F16,
    Bf16,
    F32,
    F64,
    Bool,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
}

impl Number {
    /// How many bytes a number takes.
    pub(super) fn size(self) -> usize {
        match self {
            Self::Bool | Self::I8 | Self::U8 => 1,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    /// The letter by which numpy calls its kind; bfloat16 is none of numpy's.
    pub(super) fn letter(self) -> char {
        match self {
            Self::F16 | Self::Bf16 | Self::F32 | Self::F64 => 'f',
            Self::Bool => 'b',
            Self::I8 | Self::I16 | Self::I32 | Self::I64 => 'i',
            Self::U8 | Self::U16 | Self::U32 | Self::U64 => 'u',
        }
    }
}

/// How much is read at once of an array in Fortran order, where its columns are short.
const SPAN_BYTES: usize = 1 << 20;

/// How the numbers of one array lie in a file, without gaps.
#[derive(Debug, Clone)]
pub(super) struct StoredArray {
    pub(super) start: u64,
    pub(super) shape: Vec<usize>,
    pub(super) number: Number,
    pub(super) big_endian: bool,
    /// Whether the first index runs fastest, as in Fortran, rather than the last.
    pub(super) fortran: bool,
}

impl StoredArray {
    /// How many bytes the array takes, if that can be said in 64 bits.
    pub(super) fn bytes(&self) -> Option<u64> {
        let mut sides = self.shape.iter().map(|&side| side as u64);
        sides.try_fold(self.number.size() as u64, u64::checked_mul)
    }
}

/// An array in a file that stays open, read by range from any thread.
#[derive(Debug)]
pub(super) struct FileArray {
    path: PathBuf,
    name: String,
    file: Positioned,
    layout: StoredArray,
}

impl FileArray {
    /// Messages call the array `name`; the caller has checked the layout against the size of the
    /// file.
    pub(super) fn new(path: &Path, name: String, file: File, layout: StoredArray) -> Self {
        Self {
            path: path.to_owned(),
            name,
            file: Positioned::new(file),
            layout,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn shape(&self) -> &[usize] {
        &self.layout.shape
    }

    /// How the numbers lie.
    pub(super) fn layout(&self) -> &StoredArray {
        &self.layout
    }

    /// The bytes of some rows, in C order and the byte order of this machine.
    pub(super) fn bytes(&self, range: Range<usize>) -> CoreResult<Vec<u8>> {
        CoreError::check_range(&range, self.layout.shape[0])?;
        Ok(match self.layout.number.size() {
            1 => self.read::<u8>(&range)?,
            2 => bytemuck::cast_slice(&self.read::<u16>(&range)?).to_vec(),
            4 => bytemuck::cast_slice(&self.read::<u32>(&range)?).to_vec(),
            _ => bytemuck::cast_slice(&self.read::<u64>(&range)?).to_vec(),
        })
    }

    pub(super) fn rows(&self, range: Range<usize>) -> CoreResult<Values> {
        let mut shape = self.layout.shape.clone();
        CoreError::check_range(&range, shape[0])?;
        shape[0] = range.len();
        match self.layout.number {
            Number::F32 => Values::new(self.read::<f32>(&range)?, &shape),
            Number::F64 => Values::new(self.read::<f64>(&range)?, &shape),
            Number::I64 => Values::new(self.read::<i64>(&range)?, &shape),
            Number::F16 => Values::new(
                self.map(&range, |bits| f16::from_bits(bits).to_f32())?,
                &shape,
            ),
            Number::Bf16 => Values::new(
                self.map(&range, |bits| bf16::from_bits(bits).to_f32())?,
                &shape,
            ),
            Number::Bool => Values::new(self.map(&range, |byte: u8| i64::from(byte != 0))?, &shape),
            Number::I8 => Values::new(self.map::<i8, i64>(&range, i64::from)?, &shape),
            Number::I16 => Values::new(self.map::<i16, i64>(&range, i64::from)?, &shape),
            Number::I32 => Values::new(self.map::<i32, i64>(&range, i64::from)?, &shape),
            Number::U8 => Values::new(self.map::<u8, i64>(&range, i64::from)?, &shape),
            Number::U16 => Values::new(self.map::<u16, i64>(&range, i64::from)?, &shape),
            Number::U32 => Values::new(self.map::<u32, i64>(&range, i64::from)?, &shape),
            Number::U64 => Values::new(self.signed(&range)?, &shape),
        }
    }

    fn map<T: Pod, U>(&self, range: &Range<usize>, convert: impl Fn(T) -> U) -> Result<Vec<U>> {
        Ok(self.read(range)?.into_iter().map(convert).collect())
    }

    fn signed(&self, range: &Range<usize>) -> Result<Vec<i64>> {
        let numbers = self.read::<u64>(range)?.into_iter().map(i64::try_from);
        numbers
            .collect::<Result<_, _>>()
            .map_err(|_| Error::Integer {
                array: self.name.clone(),
            })
    }

    /// The numbers as they are, in C order and the byte order of this machine.
    fn read<T: Pod>(&self, range: &Range<usize>) -> Result<Vec<T>> {
        let row: usize = self.layout.shape[1..].iter().product();
        let mut numbers = vec![T::zeroed(); range.len() * row];
        if self.layout.fortran {
            self.gather(range, row, &mut numbers)?;
        } else {
            self.fill(range.start * row, &mut numbers)?;
        }
        if self.layout.big_endian != cfg!(target_endian = "big") {
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut numbers);
            for number in bytes.chunks_exact_mut(size_of::<T>()) {
                number.reverse();
            }
        }
        Ok(numbers)
    }

    /// Reads consecutive numbers straight into a buffer, after skipping this many from the first.
    fn fill<T: Pod>(&self, skipped: usize, numbers: &mut [T]) -> Result<()> {
        let skipped = skipped as u64 * size_of::<T>() as u64;
        let bytes = bytemuck::cast_slice_mut(numbers);
        let read = self.file.read_exact_at(bytes, self.layout.start + skipped);
        read.map_err(|source| self.failed(source))
    }

    /// Collects rows of an array in Fortran order, in which a column is a run of numbers.
    fn gather<T: Pod>(&self, range: &Range<usize>, row: usize, numbers: &mut [T]) -> Result<()> {
        let (samples, sides) = (self.layout.shape[0], &self.layout.shape[1..]);
        if range.is_empty() {
            return Ok(());
        }
        let column = samples * size_of::<T>();
        let step = (SPAN_BYTES / column).clamp(1, row.max(1));
        let mut span = vec![T::zeroed(); (step - 1) * samples + range.len()];
        for first in (0..row).step_by(step) {
            let columns = step.min(row - first);
            let span = &mut span[..(columns - 1) * samples + range.len()];
            self.fill(first * samples + range.start, span)?;
            for column in 0..columns {
                let place = in_c_order(first + column, sides);
                let run = &span[column * samples..][..range.len()];
                for (row, number) in numbers.chunks_exact_mut(row).zip(run) {
                    row[place] = *number;
                }
            }
        }
        Ok(())
    }

    fn failed(&self, source: io::Error) -> Error {
        let path = self.path.clone();
        match source.kind() {
            ErrorKind::UnexpectedEof => Error::Shortened { path },
            _ => Error::Io { path, source },
        }
    }
}

/// The place in C order of the number at a place in Fortran order.
fn in_c_order(place: usize, sides: &[usize]) -> usize {
    let (mut rest, mut stride) = (place, sides.iter().product::<usize>());
    let mut found = 0;
    for &side in sides {
        stride /= side;
        found += rest % side * stride;
        rest /= side;
    }
    found
}

/// A file that is read at positions, so that threads need not agree on a current one.
#[derive(Debug)]
struct Positioned {
    file: File,
    #[cfg(not(unix))]
    turn: std::sync::Mutex<()>,
}

impl Positioned {
    fn new(file: File) -> Self {
        Self {
            file,
            #[cfg(not(unix))]
            turn: std::sync::Mutex::new(()),
        }
    }

    #[cfg(unix)]
    fn read_exact_at(&self, bytes: &mut [u8], position: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, bytes, position)
    }

    #[cfg(not(unix))]
    fn read_exact_at(&self, bytes: &mut [u8], position: u64) -> io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};

        // Nothing is left half done by a thread that panicked here: every read seeks first.
        let _turn = self
            .turn
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut file = &self.file;
        file.seek(SeekFrom::Start(position))?;
        file.read_exact(bytes)
    }
}
