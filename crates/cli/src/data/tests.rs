use std::path::Path;

use npyz::{AutoSerialize, Serialize, WriterBuilder};

use super::*;

fn write<T: Serialize + AutoSerialize + Copy>(path: &Path, values: &[T], shape: &[u64]) {
    let file = std::fs::File::create(path).expect("created");
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .shape(shape)
        .writer(file)
        .begin_nd()
        .expect("a header");
    writer.extend(values.iter().copied()).expect("written");
    writer.finish().expect("finished");
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn array(&self, name: &str) -> ArrayPath {
        ArrayPath {
            path: self.0.path().join(name),
            part: None,
        }
    }

    fn files(&self) -> Files {
        Files {
            inputs: self.array("x.npy"),
            targets: self.array("y.npy"),
        }
    }

    fn check<X, Y>(
        &self,
        inputs: (&[X], &[u64]),
        targets: (&[Y], &[u64]),
        loss: Loss,
        outputs: usize,
    ) -> Result<Samples>
    where
        X: Serialize + AutoSerialize + Copy,
        Y: Serialize + AutoSerialize + Copy,
    {
        let files = self.files();
        write(&files.inputs.path, inputs.0, inputs.1);
        write(&files.targets.path, targets.0, targets.1);
        Source::open(&files)?.check(loss, outputs, Precision::F32)
    }
}

#[test]
fn samples_become_rows_and_targets_what_the_loss_takes() -> Result<()> {
    let folder = Folder::new();
    let samples = folder.check(
        (&[1_u8, 2, 3, 4], &[2, 1, 2]),
        (&[0_u8, 1], &[2]),
        Loss::CrossEntropy,
        2,
    )?;
    assert_eq!(samples.source.sample_shape(), [1, 2]);
    let batch = samples.batch(1..2)?;
    assert_eq!(
        batch.fields()[0],
        TensorData::new(vec![3.0_f32, 4.0], [1, 2])
    );
    assert_eq!(batch.fields()[1], TensorData::new(vec![1_i64], [1]));
    let samples = folder.check((&[1.0_f64, 2.0], &[2]), (&[5_i16, -6], &[2]), Loss::Mse, 1)?;
    assert_eq!(
        samples.batch(0..2)?.fields()[1],
        TensorData::new(vec![5.0_f32, -6.0], [2, 1])
    );
    Ok(())
}

#[test]
fn misfits_name_file_and_row() {
    let folder = Folder::new();
    let x: (&[f32], &[u64]) = (&[1.0, 2.0, 3.0], &[3, 1]);
    let cases = [
        (
            folder.check(x, (&[0_i64, 1, 2], &[3]), Loss::CrossEntropy, 2),
            "y.npy: row 2 has class 2",
        ),
        (
            folder.check(x, (&[0_i64, -1, 2], &[3]), Loss::CrossEntropy, 3),
            "y.npy: row 1 has class -1",
        ),
        (
            folder.check(x, (&[0.0_f32, 1.0, 2.0], &[3]), Loss::CrossEntropy, 3),
            "y.npy: targets of cross-entropy are integers, got F32",
        ),
        (
            folder.check(x, (&[0_i64, 1, 2], &[3, 1]), Loss::CrossEntropy, 3),
            "y.npy: targets of cross-entropy have shape (n)",
        ),
        (
            folder.check(x, (&[0.0_f32, 1.0], &[2]), Loss::Mse, 1),
            "y.npy",
        ),
        (
            folder.check(x, (&[0.0_f32, 1.0, 2.0], &[3]), Loss::Mse, 2),
            "y.npy: targets of mse have shape (n, 2)",
        ),
        (
            folder.check(x, (&[0.0_f32, f32::NAN, 2.0], &[3]), Loss::Mse, 1),
            "y.npy: row 1",
        ),
        (
            folder.check(
                (&[1.0, f32::INFINITY, 3.0], &[3, 1]),
                (&[0_i64; 3], &[3]),
                Loss::CrossEntropy,
                1,
            ),
            "x.npy: row 1",
        ),
        (
            folder.check(
                (&[1.0, 1e300, 3.0], &[3, 1]),
                (&[0_i64; 3], &[3]),
                Loss::CrossEntropy,
                1,
            ),
            "x.npy: row 1",
        ),
        (
            folder.check::<f32, i64>((&[], &[0, 1]), (&[], &[0]), Loss::CrossEntropy, 1),
            "x.npy: there are no samples",
        ),
        (
            folder.check::<f32, i64>((&[], &[1, 0]), (&[0], &[1]), Loss::CrossEntropy, 1),
            "x.npy: the samples hold no numbers",
        ),
    ];
    for (outcome, part) in cases {
        let message = format!("{:#}", outcome.map(|_| ()).expect_err(part));
        assert!(message.contains(part), "`{message}` lacks `{part}`");
    }
}
