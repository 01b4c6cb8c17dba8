//! Products of matrices of 32-bit floats on devices that multiply fewer bits.
//!
//! The tensor cores of an NVIDIA GPU take a float of 32 bits as one of 19 (TF32): its range, with
//! 11 bits of its 24. burn multiplies by them whatever is asked for, so that a product is off by
//! some 10⁻³ of its size. A float `x` is the sum of two of them,
//!
//! ```text
//! t = (2¹³ + 1) x,   high = t − (t − x),   low = x − high,
//! ```
//!
//! where `high` has the upper 11 bits (Veltkamp 1968), and `low`, which has at most 12, loses one
//! in the product. Without the product of the two low halves, of the order of 2⁻²⁴,
//!
//! ```text
//! left right ≈ [high  low  high] [high; high; low],
//! ```
//!
//! one product of matrices with three times as many terms, added up in 32 bits. That is about as
//! accurate as arithmetic in 32 bits.
//!
//! References: Veltkamp, "ALGOL procedures voor het berekenen van een inwendig product in dubbele
//! precisie", RC-Informatie 22, Technological University Eindhoven, 1968; Markidis et al., "NVIDIA
//! Tensor Core Programmability, Performance & Precision", IPDPSW 2018.

use burn::backend::{Backend, TensorMetadata, tensor::FloatTensor};

/// A product of matrices of 32 bits where only the upper 11 of each number are multiplied.
pub(super) fn split_product<B: Backend>(
    left: FloatTensor<B>,
    right: FloatTensor<B>,
) -> FloatTensor<B> {
    let rank = left.shape().rank();
    let [high, low] = halves::<B>(left);
    let left = B::float_cat(vec![high.clone(), low, high], rank - 1);
    let [high, low] = halves::<B>(right);
    let right = B::float_cat(vec![high.clone(), high, low], rank - 2);
    B::float_matmul(left, right)
}

/// The upper 11 bits of each number, and the rest.
pub(super) fn halves<B: Backend>(x: FloatTensor<B>) -> [FloatTensor<B>; 2] {
    const SPLIT: f32 = 8193.0;
    let scaled = B::float_mul_scalar(x.clone(), SPLIT.into());
    let high = B::float_sub(scaled.clone(), B::float_sub(scaled, x.clone()));
    let low = B::float_sub(x, high.clone());
    [high, low]
}
