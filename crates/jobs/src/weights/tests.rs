use safetensors::{Dtype, serialize, tensor::TensorView};

use super::*;

fn read(dtype: Dtype, bytes: &[u8], shape: Vec<usize>, precision: Precision) -> Result<Weights> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let view = TensorView::new(dtype, shape, bytes).expect("bytes fit the shape");
    std::fs::write(
        file.path(),
        serialize([("fc.weight", view)], None).expect("serialised"),
    )
    .expect("written");
    Weights::read(file.path(), None, precision)
}

#[test]
fn every_float_dtype_is_read() {
    for (dtype, bytes) in [
        (Dtype::F16, vec![0x00, 0x3e]),
        (Dtype::BF16, vec![0xc0, 0x3f]),
        (Dtype::F32, 1.5_f32.to_le_bytes().to_vec()),
        (Dtype::F64, 1.5_f64.to_le_bytes().to_vec()),
    ] {
        let weights = read(dtype, &bytes, vec![1], Precision::F64).expect("read");
        let tensor = weights.tensor("fc.weight").expect("there");
        assert_eq!(tensor.as_slice::<f64>().expect("f64"), [1.5], "{dtype:?}");
    }
}

#[test]
fn tables_of_a_record_of_burn_are_not_turned() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.bpk");
    let values: Vec<f32> = (1_u8..7).map(f32::from).collect();
    let tensors = ["emb.weight", "fc.weight"].map(|name| {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        let bytes = burn::tensor::Bytes::from_bytes_vec(bytes.collect());
        burn_pack::Tensor::new(name.to_owned(), DType::F32, vec![3, 2], None, bytes)
    });
    let written = burn_pack::Writer::new(tensors.to_vec()).write_to_file(&path);
    written.expect("written");
    let weights = Weights::read(&path, None, Precision::F32).expect("read");
    let weights = weights.with_tables(["emb"].into_iter());
    for (name, shape, expected) in [
        ("emb.weight", [3, 2], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        ("fc.weight", [2, 3], [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]),
    ] {
        let tensor = weights.tensor(name).expect("there");
        assert_eq!(tensor.shape()[..], shape, "{name}");
        assert_eq!(tensor.as_slice::<f32>().expect("f32"), expected, "{name}");
    }
}

#[test]
fn a_header_of_any_length_is_one_of_safetensors() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    for length in 1..80 {
        let (name, bytes) = ("w".repeat(length), 1.5_f32.to_le_bytes());
        let view = TensorView::new(Dtype::F32, vec![1], &bytes).expect("bytes fit the shape");
        let written = serialize([(&name, view)], None).expect("serialised");
        std::fs::write(file.path(), &written).expect("written");
        let weights = Weights::read(file.path(), None, Precision::F32);
        let weights = weights.unwrap_or_else(|error| panic!("{:?}: {error:#}", &written[..8]));
        assert_eq!(weights.shape(&name), Some(&[1][..]));
    }
}

#[test]
fn what_is_no_finite_float_is_refused_by_name() {
    let cases = [
        (Dtype::I64, 1_i64.to_le_bytes(), Precision::F32, "dtype I64"),
        (
            Dtype::F64,
            f64::NAN.to_le_bytes(),
            Precision::F64,
            "not finite",
        ),
        (
            Dtype::F64,
            1e300_f64.to_le_bytes(),
            Precision::F32,
            "not finite in F32",
        ),
    ];
    for (dtype, bytes, precision, part) in cases {
        let read = read(dtype, &bytes, vec![1], precision);
        let named = read.and_then(|weights| weights.tensor("fc.weight").cloned());
        let message = format!("{:#}", named.expect_err(part));
        assert!(
            message.contains(part) && message.contains("`fc.weight`"),
            "{message}"
        );
    }
}
