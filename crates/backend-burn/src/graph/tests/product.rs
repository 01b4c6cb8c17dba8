//! Products of matrices on a GPU, and the derivatives of products.

use burn::{
    backend::{
        Autodiff, AutodiffBackend, Flex, autodiff::checkpoint::strategy::NoCheckpointing,
        ops::FloatTensorOps, tensor::FloatTensor,
    },
    tensor::{FloatDType, Shape},
};

use super::{close, flex, host, wave};
use crate::graph::kernels::tracked_product;

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

#[cfg(any(feature = "wgpu", feature = "cuda"))]
mod kernels {
    #[cfg(feature = "wgpu")]
    use burn::backend::Cube;
    use burn::{
        backend::Flex,
        tensor::{DType, Device, Tensor, TensorData},
    };
    #[cfg(feature = "wgpu")]
    use burn_cubecl::kernel::matmul::init_matmul_output;

    use super::{close, wave};
    use crate::{
        graph::product::{Kernel, in_double},
        tensors::values,
    };

    #[test]
    fn the_shape_decides_how_a_product_is_computed() {
        for (batches, matrices, kernel) in [
            (1, [2304, 2048, 2304], Kernel::Tiles),
            (1, [4096, 4096, 64], Kernel::Planes),
            (1, [100, 131_072, 250], Kernel::Planes),
            (256, [128, 64, 128], Kernel::Units),
            (1, [1, 3, 10], Kernel::Units),
        ] {
            assert_eq!(Kernel::of(batches, matrices), kernel, "{matrices:?}");
        }
    }

    /// Factors of broadcast and of equal axes, as they lie in memory and turned, `(b, m, k)` and
    /// `(b, k, n)` and their product in 64 bits on the CPU.
    fn cases(device: &Device) -> Vec<[Tensor<3>; 3]> {
        let cases = [
            ([1, 1], [70, 96, 33], [false, false]),
            ([3, 3], [64, 64, 64], [true, false]),
            ([1, 5], [7, 640, 9], [false, true]),
            ([4, 1], [17, 32, 130], [true, true]),
            ([2, 2], [1, 45, 3], [false, true]),
        ];
        let made = cases.map(|(batches, [m, k, n], turned)| {
            let side = |index: usize, [rows, columns]: [usize; 2]| {
                let size = batches[index] * rows * columns;
                let of = |device: &Device, kind| {
                    let numbers = wave(size, index as f64).into_iter();
                    #[expect(clippy::cast_possible_truncation, reason = "numbers of 32 bits")]
                    let numbers: Vec<f32> = numbers.map(|number| number as f32).collect();
                    let shape = if turned[index] {
                        [columns, rows]
                    } else {
                        [rows, columns]
                    };
                    let shape = [batches[index], shape[0], shape[1]];
                    let side = Tensor::from_data(TensorData::new(numbers, shape), (device, kind));
                    if turned[index] {
                        side.swap_dims(1, 2)
                    } else {
                        side
                    }
                };
                [of(device, DType::F32), of(&Device::flex(), DType::F64)]
            };
            let ([left, exact_left], [right, exact_right]) = (side(0, [m, k]), side(1, [k, n]));
            [left, right, exact_left.matmul(exact_right)]
        });
        made.into()
    }

    fn numbers(tensor: &Tensor<3>) -> Vec<f64> {
        let size = tensor.shape().num_elements();
        values(&tensor.clone().reshape([size])).expect("numbers")
    }

    #[cfg(feature = "wgpu")]
    #[test]
    fn every_kernel_has_the_product_on_wgpu() {
        let Ok(device) = crate::device::open("wgpu") else {
            return;
        };
        let mut taken = [0; 3];
        for [left, right, exact] in cases(&device) {
            let [left, right] = [left, right].map(|side| side.try_into_primitive::<Cube>());
            let (left, right) = (left.expect("of the GPU"), right.expect("of the GPU"));
            for (kernel, taken) in [Kernel::Tiles, Kernel::Planes, Kernel::Units]
                .into_iter()
                .zip(&mut taken)
            {
                let product = init_matmul_output(&left, &right, DType::F32);
                if !kernel.multiply(&left, &right, &product) {
                    continue;
                }
                *taken += 1;
                let product = Tensor::<3>::from_primitive::<Cube>(product);
                assert_eq!(product.dims(), exact.dims());
                close(
                    &format!("{kernel:?}"),
                    &numbers(&product),
                    &numbers(&exact),
                    1e-5,
                );
            }
        }
        assert!(taken[0] > 3 && taken[1] > 1 && taken[2] == 5, "{taken:?}");
    }

    #[test]
    fn a_product_in_double_is_rounded_once() {
        for [left, right, exact] in cases(&Device::flex()) {
            let [left, right] = [left, right].map(|side| side.try_into_primitive::<Flex>());
            let (left, right) = (left.expect("of the CPU"), right.expect("of the CPU"));
            let product = Tensor::<3>::from_primitive::<Flex>(in_double::<Flex>(left, right));
            assert_eq!(product.dtype(), DType::F32);
            close("product", &numbers(&product), &numbers(&exact), 1e-7);
        }
    }
}
