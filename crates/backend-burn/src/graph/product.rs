//! Products of matrices of 32-bit floats on an NVIDIA GPU, in 32 bits.
//!
//! burn multiplies such matrices there by the tensor cores, which take 11 bits of the 24 of a
//! number, and cut off what they add up. Two halves of each factor bring the bits back (Markidis et
//! al., "NVIDIA Tensor Core Programmability, Performance & Precision", IPDPSW 2018), but not what
//! is cut off of sums: of scores, which are sums over all parameters, three digits were right. So
//! products take the units for ordinary arithmetic, by one of three kernels:
//!
//! | kernel | a sum of products is added up by | 10¹² operations a second | error of 131,072 terms |
//! |---|---|---|---|
//! | tiles | a thread, which holds several of them | 10 to 28, with few results 0.3 | 6 · 10⁻⁶ |
//! | planes | the 32 threads of a plane | 3 to 5 with many terms, 0.5 with few | 6 · 10⁻⁷ |
//! | units | a thread | 1 to 2 | 3 · 10⁻⁶ |
//! | tensor cores, by halves | | 2 to 15, with few results 0.2 | 3 · 10⁻³ |
//!
//! (on an H200). A kernel in tiles takes up to a second to compile for each kind of shape, so that
//! it only pays for large products. Of all others what counts is that they are one operation, as
//! beginning it takes about as long as computing it; by halves they are fifteen.

use std::any::Any;

use burn::{
    backend::{Backend, TensorMetadata, cubecl::dtype_to_storage_type, tensor::FloatTensor},
    tensor::{DType, FloatDType},
};
use burn_cubecl::{kernel::matmul::init_matmul_output, tensor::CubeTensor};
use cubek::{
    matmul::{
        definition::{MatmulElems, MatmulGlobalElems},
        launch::launch_ref,
        multi_level::Strategy,
        routine::BlueprintStrategy,
    },
    std::InputBinding,
};

/// How a product is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    Tiles,
    Planes,
    Units,
}

impl Kernel {
    /// The kernel for a product of matrices `(m, k)` and `(k, n)`, as many times as there are
    /// `batches`.
    pub(super) fn of(batches: usize, [m, k, n]: [usize; 3]) -> Self {
        /// Operations of a product for which compiling a kernel in tiles pays.
        const LARGE: f64 = 4e9;
        /// The side of a tile, and as many of them as keep a GPU busy.
        const SIDE: usize = 64;
        const TILES: usize = 128;
        /// Terms of a sum that keep the threads of a plane busy.
        const LONG: usize = 512;
        let operations = 2.0 * batches as f64 * m as f64 * k as f64 * n as f64;
        let tiles = batches * m.div_ceil(SIDE) * n.div_ceil(SIDE);
        if operations >= LARGE && tiles >= TILES {
            Self::Tiles
        } else if k >= LONG {
            Self::Planes
        } else {
            Self::Units
        }
    }

    fn strategy(self) -> Strategy {
        match self {
            Self::Tiles => Strategy::SimpleUnit(BlueprintStrategy::default()),
            Self::Planes => Strategy::Gemm(BlueprintStrategy::default()),
            Self::Units => Strategy::Naive,
        }
    }

    /// Writes the product; whether the kernel takes these shapes.
    pub(super) fn multiply(
        self,
        left: &CubeTensor,
        right: &CubeTensor,
        product: &CubeTensor,
    ) -> bool {
        let number = dtype_to_storage_type(DType::F32);
        let input = |side: &CubeTensor| InputBinding::new(side.clone().binding(), number);
        let mut numbers = MatmulElems::from_globals(&MatmulGlobalElems {
            lhs: number,
            rhs: number,
            out: number,
        });
        let launched = launch_ref(
            &self.strategy().into(),
            &left.client,
            input(left),
            input(right),
            product.clone().binding(),
            &mut numbers,
        );
        launched.is_ok()
    }
}

/// The product of the matrices of the last two axes in 32 bits, none of which is empty.
pub(super) fn full_product<B: Backend>(
    left: FloatTensor<B>,
    right: FloatTensor<B>,
) -> FloatTensor<B> {
    let of = |side: &FloatTensor<B>| (side as &dyn Any).downcast_ref::<CubeTensor>().cloned();
    let product = of(&left).zip(of(&right)).and_then(|(left, right)| {
        let product: Box<dyn Any> = Box::new(by_shape(&left, &right)?);
        product.downcast::<FloatTensor<B>>().ok()
    });
    match product {
        Some(product) => *product,
        None => in_double::<B>(left, right),
    }
}

fn by_shape(left: &CubeTensor, right: &CubeTensor) -> Option<CubeTensor> {
    let product = init_matmul_output(left, right, DType::F32);
    let (shape, terms) = (product.shape(), left.shape());
    let last = shape.rank() - 1;
    let matrices = [shape[last - 1], terms[last], shape[last]];
    let batches = shape.num_elements() / (matrices[0] * matrices[2]);
    let kernel = Kernel::of(batches, matrices);
    let done = kernel.multiply(left, right, &product);
    (done || Kernel::Units.multiply(left, right, &product)).then_some(product)
}

/// A product of numbers of 32 bits in 64, for tensors whose operations burn records to fuse them.
pub(super) fn in_double<B: Backend>(left: FloatTensor<B>, right: FloatTensor<B>) -> FloatTensor<B> {
    let [left, right] = [left, right].map(|side| B::float_cast(side, FloatDType::F64));
    B::float_cast(B::float_matmul(left, right), FloatDType::F32)
}
