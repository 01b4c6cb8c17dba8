//! Products of matrices by halves, and the derivatives of products.

use burn::{
    backend::{
        Autodiff, AutodiffBackend, Flex, FlexDevice, TensorMetadata,
        autodiff::checkpoint::strategy::NoCheckpointing, ops::FloatTensorOps, tensor::FloatTensor,
    },
    tensor::{FloatDType, Shape, TensorData},
};

use super::{close, flex, host, wave};
use crate::graph::{
    kernels::tracked_product,
    product::{halves, split_product},
};

fn tensor(values: &[f64], shape: [usize; 2], float: FloatDType) -> FloatTensor<Flex> {
    Flex::float_reshape(flex(float).upload(values), Shape::from(shape.to_vec()))
}

/// The upper 11 bits of each number, the others cut off: what tensor cores see.
fn seen(x: FloatTensor<Flex>) -> FloatTensor<Flex> {
    let shape = x.shape();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "they are numbers of 32 bits"
    )]
    let cut = |value: f64| f32::from_bits((value as f32).to_bits() & (u32::MAX << 13));
    let values: Vec<f32> = host(x).into_iter().map(cut).collect();
    Flex::float_from_data(TensorData::new(values, shape.to_vec()), &FlexDevice)
}

#[test]
fn halves_keep_what_the_upper_bits_alone_lose() {
    let ([m, k, n], f32) = ([7, 40, 5], FloatDType::F32);
    let left = tensor(&wave(m * k, 1.0), [m, k], f32);
    let right = tensor(&wave(k * n, 2.0), [k, n], f32);
    let [a, b] = [&left, &right].map(|x| Flex::float_cast(x.clone(), FloatDType::F64));
    let exact = host(Flex::float_matmul(a, b));
    let error = |product: FloatTensor<Flex>| {
        let pairs = host(product).into_iter().zip(&exact);
        let errors = pairs.map(|(value, exact)| (value - exact).abs());
        errors.fold(0.0, f64::max)
    };
    let alone = Flex::float_matmul(seen(left.clone()), seen(right.clone()));
    assert!(error(alone) > 1e-3);

    let [left_halves, right_halves] = [&left, &right].map(|x| halves::<Flex>(x.clone()));
    for (whole, [high, low]) in [(&left, &left_halves), (&right, &right_halves)] {
        assert_eq!(host(seen(high.clone())), host(high.clone()));
        let sum = Flex::float_add(high.clone(), low.clone());
        assert_eq!(host(sum), host(whole.clone()));
    }
    let [[high, low], [right_high, right_low]] = [left_halves, right_halves].map(|x| x.map(seen));
    let products = [
        (&high, &right_high),
        (&low, &right_high),
        (&high, &right_low),
    ];
    let products = products.map(|(a, b)| Flex::float_matmul(a.clone(), b.clone()));
    let sum = products.into_iter().reduce(Flex::float_add).expect("three");
    assert!(error(sum) < 4e-6);
    assert!(error(split_product::<Flex>(left, right)) < 4e-6);
}

#[test]
fn derivatives_of_a_product_are_those_of_burn() {
    type Tracked = Autodiff<Flex>;
    type Twice = Autodiff<Tracked>;
    type Product<X> = fn(FloatTensor<X>, FloatTensor<X>) -> FloatTensor<X>;

    // Axes that are broadcast on either side, and on neither.
    let shapes: [Vec<usize>; 2] = [vec![2, 1, 3, 4], vec![1, 5, 4, 2]];
    let factors = [0, 1].map(|side| {
        let size = shapes[side].iter().product();
        let flat = flex(FloatDType::F64).upload(&wave(size, side as f64));
        Flex::float_reshape(flat, Shape::from(shapes[side].clone()))
    });
    let cubed = |product: FloatTensor<Tracked>| {
        Tracked::float_sum(Tracked::float_powi_scalar(product, 3.into()))
    };
    let first = |product: Product<Tracked>| {
        let [left, right] = factors
            .each_ref()
            .map(|x| Tracked::from_inner(x.clone()).require_grad());
        let gradients = cubed(product(left.clone(), right.clone())).backward();
        [left, right].map(|x| host(x.grad(&gradients).expect("a gradient")))
    };
    let second = |product: Product<Twice>| {
        let inner = factors
            .each_ref()
            .map(|x| Tracked::from_inner(x.clone()).require_grad());
        let [left, right] = inner
            .each_ref()
            .map(|x| Twice::from_inner(x.clone()).require_grad());
        let value = product(left.clone(), right.clone());
        let value = Twice::float_sum(Twice::float_powi_scalar(value, 3.into()));
        let gradients = value.backward();
        let slope = |x: FloatTensor<Twice>| cubed(x.grad(&gradients).expect("a gradient"));
        let sum = Tracked::float_add(slope(left), slope(right));
        let gradients = sum.backward();
        inner.map(|x| host(x.grad(&gradients).expect("a gradient")))
    };
    let pairs = [
        (
            first(tracked_product::<Flex, NoCheckpointing>),
            first(Tracked::float_matmul),
        ),
        (
            second(tracked_product::<Tracked, NoCheckpointing>),
            second(Twice::float_matmul),
        ),
    ];
    for (own, burn) in pairs {
        for (own, burn) in own.iter().zip(&burn) {
            close("derivative", own, burn, 1e-13);
        }
    }
}
