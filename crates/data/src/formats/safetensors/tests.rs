use std::fs;

use safetensors::{serialize, tensor::TensorView};

use super::*;

struct Tensors(tempfile::TempDir);

impl Tensors {
    fn new(tensors: &[(&str, Dtype, &[usize], &[u8])]) -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
            let view = TensorView::new(*dtype, shape.to_vec(), bytes);
            (*name, view.expect("bytes fit the shape"))
        });
        let bytes = serialize(views, None).expect("serialised");
        fs::write(folder.path(), bytes).expect("written");
        folder
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("data.safetensors")
    }

    fn open(&self, name: Option<&str>) -> Result<SafetensorsField> {
        SafetensorsField::open(self.path(), name)
    }

    fn message(&self, name: Option<&str>) -> String {
        let message = self.open(name).expect_err("refused").to_string();
        assert!(message.contains("data.safetensors"), "{message}");
        message
    }
}

#[test]
fn every_type_is_read_by_range() {
    let float = |values: [f32; 3]| Values::new(values.to_vec(), &[3]).expect("three");
    let integer = |values: [i64; 3]| Values::new(values.to_vec(), &[3]).expect("three");
    let bytes = |values: &[i64], size: usize| -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes()[..size].to_vec())
            .collect()
    };
    let halves: Vec<u8> = [0x3e00_u16, 0x0000, 0xb400]
        .iter()
        .flat_map(|bits| bits.to_le_bytes())
        .collect();
    let brains: Vec<u8> = [0x3fc0_u16, 0x0000, 0xbe80]
        .iter()
        .flat_map(|bits| bits.to_le_bytes())
        .collect();
    let doubles: Vec<u8> = [1.5_f64, 0.0, -0.25]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let singles: Vec<u8> = [1.5_f32, 0.0, -0.25]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let signed = [-3, 0, 120];
    let unsigned = [250, 0, 7];
    let cases = [
        (Dtype::F16, halves, float([1.5, 0.0, -0.25])),
        (Dtype::BF16, brains, float([1.5, 0.0, -0.25])),
        (Dtype::F32, singles, float([1.5, 0.0, -0.25])),
        (
            Dtype::F64,
            doubles,
            Values::new(vec![1.5_f64, 0.0, -0.25], &[3]).expect("three"),
        ),
        (Dtype::BOOL, vec![1, 0, 1], integer([1, 0, 1])),
        (Dtype::I8, bytes(&signed, 1), integer(signed)),
        (Dtype::I16, bytes(&signed, 2), integer(signed)),
        (Dtype::I32, bytes(&signed, 4), integer(signed)),
        (Dtype::I64, bytes(&signed, 8), integer(signed)),
        (Dtype::U8, bytes(&unsigned, 1), integer(unsigned)),
        (Dtype::U16, bytes(&unsigned, 2), integer(unsigned)),
        (Dtype::U32, bytes(&unsigned, 4), integer(unsigned)),
        (Dtype::U64, bytes(&unsigned, 8), integer(unsigned)),
    ];
    for (dtype, bytes, expected) in cases {
        // A neighbour on either side: ranges are counted from where the tensor begins.
        let one = vec![0; bytes.len() / 3];
        let tensors: [(&str, Dtype, &[usize], &[u8]); 3] = [
            ("a", dtype, &[1], &one),
            ("x", dtype, &[3], &bytes),
            ("z", dtype, &[1], &one),
        ];
        let field = Tensors::new(&tensors).open(Some("x")).expect("opened");
        assert_eq!(field.rows(0..3).expect("read"), expected, "{dtype:?}");
        let part = field.rows(1..3).expect("read");
        assert_eq!(part.shape(), [2], "{dtype:?}");
    }
}

#[test]
fn the_only_tensor_needs_no_name_and_others_are_listed() {
    let one = Tensors::new(&[("x", Dtype::U8, &[2, 2], &[1, 2, 3, 4])]);
    let field = one.open(None).expect("opened");
    assert_eq!(field.shape(), [2, 2]);
    assert_eq!(
        field.rows(1..2).expect("read"),
        Values::new(vec![3_i64, 4], &[1, 2]).expect("two")
    );
    assert!(field.name().ends_with("data.safetensors#x"));
    let two = Tensors::new(&[("y", Dtype::U8, &[1], &[1]), ("x", Dtype::U8, &[1], &[1])]);
    assert!(two.message(None).contains("it has x, y"));
    let message = two.message(Some("z"));
    assert!(message.contains("no tensor `z`; it has x, y"), "{message}");
    let huge = Tensors::new(&[("x", Dtype::U64, &[1], &[255; 8])]);
    let error = huge
        .open(None)
        .expect("opened")
        .rows(0..1)
        .expect_err("too large");
    assert!(error.to_string().contains("64 signed bits"), "{error}");
}

#[test]
fn files_that_cannot_be_used_say_why() {
    let folder = Tensors::new(&[
        ("x", Dtype::F32, &[2], &[0; 8]),
        ("s", Dtype::F32, &[], &[0; 4]),
    ]);
    assert!(folder.message(Some("s")).contains("single number"));
    let whole = fs::read(folder.path()).expect("readable");
    let huge = [&u64::MAX.to_le_bytes()[..], &whole[8..]].concat();
    let spoilt = [&whole[..8], b"[", &whole[9..]].concat();
    let cases = [
        (
            &whole[..whole.len() - 1],
            "expected 12 bytes of tensors, got 11",
        ),
        (&whole[..20], "expected a header of at most 12 bytes"),
        (&whole[..5], "expected at least 8 bytes, got 5"),
        (&huge, "expected a header of at most"),
        (&spoilt, "the header is damaged"),
    ];
    for (bytes, part) in cases {
        fs::write(folder.path(), bytes).expect("written");
        let message = folder.message(Some("x"));
        assert!(message.contains(part), "{message}");
    }
    fs::remove_file(folder.path()).expect("removed");
    assert!(matches!(folder.open(None), Err(Error::Io { .. })));
    let complex = Tensors::new(&[("x", Dtype::C64, &[1], &[0; 8])]);
    assert!(complex.message(None).contains("got C64"));
}

#[test]
fn a_file_cut_short_while_open_is_named() {
    let folder = Tensors::new(&[("x", Dtype::F32, &[4], &[0; 16])]);
    let field = folder.open(None).expect("opened");
    let file = File::options()
        .write(true)
        .open(folder.path())
        .expect("opened");
    file.set_len(20).expect("cut");
    let error = field.rows(0..4).expect_err("cut short").to_string();
    assert!(
        error.contains("data.safetensors") && error.contains("shorter"),
        "{error}"
    );
}
