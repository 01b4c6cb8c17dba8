use std::{
    fs::File,
    io::{BufReader, Seek, SeekFrom},
    ops::Range,
    path::{Path, PathBuf},
};

use burn::tensor::TensorData;
use influence_core::{Dataset, Error as CoreError, Result as CoreResult};
use npyz::{DType, Deserialize, NpyFile, Order, TypeChar, TypeStr};

use super::Batch;
use crate::{Error, Result};

/// Samples in numpy files, one `.npy` file per field, samples along the first axis.
///
/// Only the range that is asked for is read, from any thread. Floats keep their precision (16-bit ones become 32-bit); integers and bools of every width become
/// 64-bit integers.
#[derive(Debug, Clone)]
pub struct NpyDataset {
    fields: Vec<Field>,
    len: usize,
}

#[derive(Debug, Clone)]
struct Field {
    path: PathBuf,
    kind: TypeStr,
    shape: Vec<usize>,
}

impl NpyDataset {
    /// Opens one file per field and checks their headers against each other and against the sizes of the files.
    ///
    /// # Errors
    /// [`Error::Io`] when a file cannot be opened, [`Error::Npy`] when it is not a complete numeric array in C order with a first axis, or
    /// has another number of samples than the first.
    pub fn open<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Result<Self> {
        let fields = paths
            .into_iter()
            .map(|path| Field::open(path.into()))
            .collect::<Result<Vec<_>>>()?;
        let Some(first) = fields.first() else {
            return Err(Error::Npy {
                path: PathBuf::new(),
                message: "expected at least one file, got none".into(),
            });
        };
        let len = first.shape[0];
        match fields.iter().find(|field| field.shape[0] != len) {
            Some(other) => {
                let message = format!(
                    "expected {len} samples as in {}, got {}",
                    first.path.display(),
                    other.shape[0]
                );
                Err(Error::Npy {
                    path: other.path.clone(),
                    message,
                })
            }
            None => Ok(Self { fields, len }),
        }
    }

    /// The shape of each field, samples first.
    pub fn shapes(&self) -> Vec<&[usize]> {
        self.fields
            .iter()
            .map(|field| field.shape.as_slice())
            .collect()
    }
}

impl Dataset for NpyDataset {
    type Batch = Batch;

    fn len(&self) -> usize {
        self.len
    }

    fn batch(&self, range: Range<usize>) -> CoreResult<Batch> {
        CoreError::check_range(&range, self.len)?;
        let fields = self
            .fields
            .iter()
            .map(|field| field.read(&range))
            .collect::<Result<Vec<_>>>()?;
        Ok(Batch::new(fields)?)
    }
}

impl Field {
    fn open(path: PathBuf) -> Result<Self> {
        let file = npy(&path)?;
        let refuse = |message: String| {
            Err(Error::Npy {
                path: path.clone(),
                message,
            })
        };
        let DType::Plain(kind) = file.dtype() else {
            return refuse("expected plain numbers, got a structured array".into());
        };
        let shape: Vec<usize> = file
            .shape()
            .iter()
            .map(|&side| usize::try_from(side).unwrap_or(usize::MAX))
            .collect();
        if shape.is_empty() {
            return refuse("expected samples along a first axis, got a single number".into());
        }
        if file.order() == Order::Fortran && shape.len() > 1 {
            return refuse("expected an array in C order, got Fortran order; save it with numpy.ascontiguousarray".into());
        }
        let numeric = matches!(
            kind.type_char(),
            TypeChar::Float | TypeChar::Int | TypeChar::Uint | TypeChar::Bool
        );
        let readable =
            kind.type_char() != TypeChar::Float || matches!(kind.size_field(), 2 | 4 | 8);
        if !numeric || !readable {
            return refuse(format!(
                "expected floats of 2, 4 or 8 bytes, integers or bools, got {kind}"
            ));
        }
        let field = Self { path, kind, shape };
        field.check_size(file)?;
        Ok(field)
    }

    /// The file must hold exactly what its header announces.
    fn check_size(&self, file: NpyFile<BufReader<File>>) -> Result<()> {
        let expected = self
            .shape
            .iter()
            .try_fold(self.kind.num_bytes().unwrap_or(1), |product, &side| {
                product.checked_mul(side)
            })
            .map_or(u64::MAX, |bytes| bytes as u64);
        let io = |source| Error::Io {
            path: self.path.clone(),
            source,
        };
        let mut reader = file.into_inner();
        let start = reader.stream_position().map_err(io)?;
        let got = reader.seek(SeekFrom::End(0)).map_err(io)? - start;
        if got == expected {
            return Ok(());
        }
        let message = format!(
            "expected {expected} bytes of numbers for shape {:?}, got {got}; the file is damaged",
            self.shape
        );
        Err(Error::Npy {
            path: self.path.clone(),
            message,
        })
    }

    fn read(&self, range: &Range<usize>) -> Result<TensorData> {
        match (self.kind.type_char(), self.kind.size_field()) {
            (TypeChar::Float, 2) => self.values(range, |value: half::f16| Some(value.to_f32())),
            (TypeChar::Float, 4) => self.values(range, |value: f32| Some(value)),
            (TypeChar::Float, _) => self.values(range, |value: f64| Some(value)),
            (TypeChar::Bool, _) => self.values(range, |value: bool| Some(i64::from(value))),
            (TypeChar::Int, 1) => self.values(range, |value: i8| Some(i64::from(value))),
            (TypeChar::Int, 2) => self.values(range, |value: i16| Some(i64::from(value))),
            (TypeChar::Int, 4) => self.values(range, |value: i32| Some(i64::from(value))),
            (TypeChar::Int, _) => self.values(range, |value: i64| Some(value)),
            (_, 1) => self.values(range, |value: u8| Some(i64::from(value))),
            (_, 2) => self.values(range, |value: u16| Some(i64::from(value))),
            (_, 4) => self.values(range, |value: u32| Some(i64::from(value))),
            _ => self.values(range, |value: u64| i64::try_from(value).ok()),
        }
    }

    fn values<T: Deserialize, E: burn::tensor::Element>(
        &self,
        range: &Range<usize>,
        convert: impl Fn(T) -> Option<E>,
    ) -> Result<TensorData> {
        let refuse = |message: String| Error::Npy {
            path: self.path.clone(),
            message,
        };
        let io = |source| Error::Io {
            path: self.path.clone(),
            source,
        };
        let row: usize = self.shape[1..].iter().product();
        let mut reader = npy(&self.path)?
            .data::<T>()
            .map_err(|error| refuse(error.to_string()))?;
        reader.seek_to((range.start * row) as u64).map_err(io)?;
        let mut values = Vec::with_capacity(range.len() * row);
        for value in reader.take(range.len() * row) {
            let value = convert(value.map_err(io)?);
            values.push(
                value.ok_or_else(|| refuse("an integer does not fit 64 signed bits".into()))?,
            );
        }
        if values.len() < range.len() * row {
            return Err(refuse("the file became shorter while it was read".into()));
        }
        let shape: Vec<usize> = std::iter::once(range.len())
            .chain(self.shape[1..].iter().copied())
            .collect();
        Ok(TensorData::new(values, shape))
    }
}

fn npy(path: &Path) -> Result<NpyFile<BufReader<File>>> {
    let file = File::open(path).map_err(|source| Error::Io {
        path: path.to_owned(),
        source,
    })?;
    let refuse = |error: std::io::Error| Error::Npy {
        path: path.to_owned(),
        message: format!("not a numpy array: {error}"),
    };
    NpyFile::new(BufReader::new(file)).map_err(refuse)
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
                "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 2), }",
                24,
                "C order",
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
                "expected floats",
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
