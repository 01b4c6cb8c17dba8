//! The error function in 64 bits against that of the C library.

use burn::{
    backend::{Flex, ops::FloatTensorOps},
    tensor::FloatDType,
};

use super::{close, flex, host};
use crate::graph::error_function::error_function;

#[test]
fn the_error_function_is_right_in_64_bits() {
    let points: Vec<f64> = (-900_i32..=900)
        .map(|step| f64::from(step) / 128.0)
        .collect();
    let upload = || flex(FloatDType::F64).upload(&points);
    let own = host(error_function::<Flex>(upload()));
    close("erf", &own, &host(Flex::float_erf(upload())), 4e-16);
    let single = Flex::float_cast(upload(), FloatDType::F32);
    let single = host(Flex::float_erf(single));
    let worst = own
        .iter()
        .zip(&single)
        .map(|(own, single)| (own - single).abs());
    assert!(
        worst.fold(0.0, f64::max) > 1e-9,
        "it would not be told from 32 bits"
    );
}
