use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use influence_core::{Dataset, FieldSource, Result as CoreResult, Values};
use npyz::{DType, Endianness, NpyFile, Order, TypeChar, TypeStr};

use super::{
    Batch, FieldDataset,
    file::{FileArray, Layout, Number},
};
use crate::{Error, Result};

/// What a numpy file begins with.
const MAGIC: &[u8] = b"\x93NUMPY";
/// The header of an array of numbers is much shorter, whatever its shape.
const MAX_HEADER: u64 = 1 << 20;
/// The brackets of such a header are two deep.
const MAX_DEPTH: usize = 16;

/// The array in a numpy file `.npy`, samples along the first axis.
///
/// The file stays open, and a range is read at its position into the buffer that is handed on; only what is asked for is in memory. The file is
/// not mapped into memory: the pages of a map that were read count as memory of the process, so that no bound could be kept, and a file
/// that is cut short meanwhile would end the process instead of giving an error. Floats keep their precision (16-bit ones become 32-bit);
/// integers and bools of every width become 64-bit integers. Samples of an array in Fortran order, which lie scattered in the file, are
/// collected: what is read often is faster in C order.
#[derive(Debug)]
pub struct NpyField(FileArray);

impl NpyField {
    /// Opens a file and checks its header against its size.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be opened, [`Error::Npy`] when it is not a complete numeric array with a first axis.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        Self::from_file(file, path.display().to_string())
    }

    /// Takes a file that is open already, as a temporary one is, and checks it from its beginning; `name` is what messages call it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_file(mut file: File, name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let path = PathBuf::from(&name);
        let refuse = |message: String| Error::Npy {
            path: path.clone(),
            message,
        };
        let io = |source| Error::Io {
            path: path.clone(),
            source,
        };
        file.rewind().map_err(io)?;
        check_npy_header(&file).map_err(refuse)?;
        file.rewind().map_err(io)?;
        let npy = NpyFile::new(BufReader::new(file))
            .map_err(|error| refuse(format!("not a numpy array: {error}")))?;
        let mut layout = layout(&npy).map_err(refuse)?;
        let mut file = npy.into_inner();
        layout.start = file.stream_position().map_err(io)?;
        let got = file.seek(SeekFrom::End(0)).map_err(io)? - layout.start;
        let expected = layout.bytes();
        if expected != Some(got) {
            let expected = expected.map_or("too many".to_owned(), |bytes| bytes.to_string());
            return Err(refuse(format!(
                "expected {expected} bytes of numbers for shape {:?}, got {got}; the file is damaged",
                layout.shape
            )));
        }
        let file = file.into_inner();
        Ok(Self(FileArray::new(&path, name, file, layout)))
    }
}

impl NpyField {
    /// Whether the array is in Fortran order: the numbers of a sample are not side by side.
    pub fn is_fortran(&self) -> bool {
        self.0.layout().fortran
    }

    /// The type of number as numpy writes it, in the byte order of this machine: `<f4`.
    pub fn kind(&self) -> String {
        let number = self.0.layout().number;
        let order = match number.size() {
            1 => '|',
            _ if cfg!(target_endian = "big") => '>',
            _ => '<',
        };
        format!("{order}{}{}", number.letter(), number.size())
    }

    /// The bytes of some samples, in C order and the byte order of this machine.
    ///
    /// # Errors
    /// When the range leaves the array, or the file cannot be read.
    pub fn bytes(&self, range: Range<usize>) -> CoreResult<Vec<u8>> {
        self.0.bytes(range)
    }
}

impl FieldSource for NpyField {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn rows(&self, range: Range<usize>) -> CoreResult<Values> {
        self.0.rows(range)
    }
}

/// Checks what a numpy file begins with before its header is parsed: the parser makes room for as many bytes as a header is said to have, and
/// follows its brackets however deep they go. Whether it is a header at all is left to the parser.
///
/// # Errors
/// What is wrong, when the header is too long or too deep, or the file cannot be read.
pub fn check_npy_header(file: impl Read) -> std::result::Result<(), String> {
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

/// What the header says, without the place where the numbers start.
fn layout<R>(npy: &NpyFile<R>) -> Result<Layout, String>
where
    R: std::io::Read,
{
    let DType::Plain(kind) = npy.dtype() else {
        return Err(
            "expected plain numbers, got a structured array; save one array of its columns, as numpy.lib.recfunctions.structured_to_unstructured makes"
                .into(),
        );
    };
    check_npy_kind(&kind)?;
    let sides = npy.shape().iter().map(|&side| usize::try_from(side));
    let shape: Vec<usize> = sides.map(|side| side.unwrap_or(usize::MAX)).collect();
    if shape.is_empty() {
        return Err("expected samples along a first axis, got a single number".into());
    }
    let number = number(&kind).ok_or_else(|| not_numbers(&kind))?;
    Ok(Layout {
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
/// What the array holds, and what to save in its place.
pub fn check_npy_kind(kind: &TypeStr) -> Result<(), String> {
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

/// Samples in numpy files: one [`NpyField`] per field of the task, joined.
#[derive(Debug, Clone)]
pub struct NpyDataset(FieldDataset);

impl NpyDataset {
    /// Opens one file per field and checks their headers against each other and against the sizes of the files.
    ///
    /// # Errors
    /// As [`NpyField::open`] and [`FieldDataset::new`].
    pub fn open<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Result<Self> {
        let open = |path: P| -> Result<Arc<dyn FieldSource>> {
            Ok(Arc::new(NpyField::open(path.into())?))
        };
        let fields: Result<Vec<_>> = paths.into_iter().map(open).collect();
        Ok(Self(FieldDataset::new(fields?)?))
    }

    /// The shape of each field, samples first.
    pub fn shapes(&self) -> Vec<&[usize]> {
        self.0.shapes()
    }
}

impl Dataset for NpyDataset {
    type Batch = Batch;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn batch(&self, range: Range<usize>) -> CoreResult<Batch> {
        self.0.batch(range)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A file with this header and these bytes.
    fn file(folder: &tempfile::TempDir, name: &str, header: &str, bytes: &[u8]) -> PathBuf {
        let path = folder.path().join(name);
        let mut header = header.to_owned();
        header.extend(std::iter::repeat_n(' ', 63 - (10 + header.len()) % 64));
        header.push('\n');
        let mut contents = b"\x93NUMPY\x01\x00".to_vec();
        contents.extend(u16::try_from(header.len()).expect("short").to_le_bytes());
        contents.extend(header.as_bytes());
        contents.extend(bytes);
        File::create(&path)
            .expect("a file")
            .write_all(&contents)
            .expect("written");
        path
    }

    #[test]
    fn headers_are_bounded_before_they_are_parsed() {
        let with = |version: u8, length: &[u8], text: &[u8]| {
            let start = [b"\x93NUMPY", &[version, 0][..]].concat();
            check_npy_header(&[&start, length, text].concat()[..])
        };
        assert_eq!(with(1, &[4, 0], b"{()}"), Ok(()));
        assert_eq!(with(2, &[4, 0, 0, 0], b"{()}"), Ok(()));
        assert_eq!(with(9, &[], b""), Ok(()), "the parser says what it is");
        let long = with(2, &[255; 4], b"{").expect_err("4 GiB");
        assert!(long.contains("got 4294967295"), "{long}");
        for version in [1, 2] {
            let length = [100, 0, 0, 0];
            let length = &length[..2 * usize::from(version)];
            let deep = with(version, length, &[b'['; 100]).expect_err("deep");
            assert!(deep.contains("16 deep"), "{deep}");
        }
    }

    #[test]
    fn ranges_are_read_in_every_integer_and_float_type() {
        let folder = tempfile::tempdir().expect("a folder");
        let floats: Vec<u8> = (0..6_u8)
            .flat_map(|value| f32::from(value).to_be_bytes())
            .collect();
        let floats = file(
            &folder,
            "x.npy",
            "{'descr': '>f4', 'fortran_order': False, 'shape': (3, 2), }",
            &floats,
        );
        let labels = file(
            &folder,
            "y.npy",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }",
            &[7, 8, 255],
        );
        let data = NpyDataset::open([floats, labels]).expect("a data set");
        let batch = data.batch(1..3).expect("a batch");
        assert_eq!(
            batch.fields()[0].as_slice::<f32>().expect("floats"),
            [2.0, 3.0, 4.0, 5.0]
        );
        assert_eq!(
            batch.fields()[1].as_slice::<i64>().expect("integers"),
            [8, 255]
        );
        influence_core::testing::dataset(&data, |batch| {
            let values: Vec<f64> = batch.fields()[0].iter::<f64>().collect();
            ndarray::ArrayD::from_shape_vec(vec![batch.len(), 2], values).expect("two columns")
        });
    }

    /// The numbers 0, 1, 2 and so on, up to 999 and again, in C order, written in Fortran order as big-endian integers of two bytes.
    fn in_fortran_order(folder: &tempfile::TempDir, shape: [usize; 3]) -> PathBuf {
        let [n, d, e] = shape;
        let numbers =
            (0..e).flat_map(|k| (0..d).flat_map(move |j| (0..n).map(move |i| (i * d + j) * e + k)));
        let bytes =
            numbers.flat_map(|number| u16::try_from(number % 1000).expect("few").to_be_bytes());
        let header =
            format!("{{'descr': '>u2', 'fortran_order': True, 'shape': ({n}, {d}, {e}), }}");
        file(folder, "f.npy", &header, &bytes.collect::<Vec<_>>())
    }

    #[test]
    fn arrays_in_fortran_order_are_read_as_those_in_c_order() {
        let folder = tempfile::tempdir().expect("a folder");
        for shape in [
            [5, 3, 4],
            [1, 3, 4],
            [7, 1, 1],
            [600, 3, 30],
            [4, 0, 2],
            [200_000, 3, 3],
        ] {
            let [n, d, e] = shape;
            let field = NpyField::open(in_fortran_order(&folder, shape)).expect("opened");
            assert_eq!((field.is_fortran(), field.kind()), (true, "<u2".to_owned()));
            for range in [0..n, 0..1, n / 2..n, n - 1..n, 0..0] {
                let expected = (range.start * d * e..range.end * d * e)
                    .map(|number| i64::try_from(number % 1000).expect("few"));
                let Values::I64(values) = field.rows(range.clone()).expect("in range") else {
                    panic!("integers");
                };
                assert_eq!(values.shape(), [range.len(), d, e]);
                assert!(
                    values.iter().copied().eq(expected.clone()),
                    "{shape:?} {range:?}"
                );
                let bytes = field.bytes(range).expect("in range");
                let numbers = bytes
                    .chunks_exact(2)
                    .map(|pair| i64::from(u16::from_ne_bytes([pair[0], pair[1]])));
                assert!(numbers.eq(expected), "{shape:?}");
            }
            assert!(field.rows(0..n + 1).is_err() && field.bytes(0..n + 1).is_err());
        }
    }

    #[test]
    fn half_precision_is_read_as_single() {
        let folder = tempfile::tempdir().expect("a folder");
        let bytes: Vec<u8> = [1.5, -0.25]
            .iter()
            .flat_map(|&value| half::f16::from_f32(value).to_le_bytes())
            .collect();
        let path = file(
            &folder,
            "h.npy",
            "{'descr': '<f2', 'fortran_order': False, 'shape': (2,), }",
            &bytes,
        );
        let batch = NpyDataset::open([path])
            .map(|data| data.batch(0..2).expect("a batch"))
            .expect("a data set");
        assert_eq!(
            batch.fields()[0].as_slice::<f32>().expect("floats"),
            [1.5, -0.25]
        );
    }

    #[test]
    fn files_that_cannot_be_used_say_why() {
        let folder = tempfile::tempdir().expect("a folder");
        let cases = [
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }",
                20,
                "damaged",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (), }",
                4,
                "single number",
            ),
            (
                "{'descr': '<c8', 'fortran_order': False, 'shape': (3,), }",
                24,
                "expected floats",
            ),
            (
                "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
                24,
                "Python objects",
            ),
            (
                "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }",
                12,
                "structured",
            ),
            ("{'descr': ", 24, "not a numpy array"),
        ];
        for (header, bytes, message) in cases {
            let path = file(&folder, "bad.npy", header, &vec![0; bytes]);
            let error = NpyDataset::open([path]).expect_err(header).to_string();
            assert!(
                error.contains(message) && error.contains("bad.npy"),
                "{error}"
            );
        }
        assert!(matches!(
            NpyDataset::open([folder.path().join("none.npy")]),
            Err(Error::Io { .. })
        ));
    }
}
