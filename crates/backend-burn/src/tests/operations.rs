//! The interpreter against burn itself: values and gradients, operation by operation.

use burn::{
    module::{Module, Param},
    nn::conv::{ConvTranspose2d, ConvTranspose2dConfig},
    tensor::{
        DType, Device, Int, Tensor, activation,
        module::{adaptive_avg_pool2d, avg_pool2d, interpolate, max_pool2d},
        ops::{AvgPoolOptions, InterpolateMode, InterpolateOptions, MaxPoolOptions},
    },
};
use influence_core::Precision;

use super::{difference, floats, models::settled, source};
use crate::{Batch, Error, Task, stack::host, trace::Function};

/// One scale for each channel, then an operation.
#[derive(Module, Debug)]
struct Scaled {
    scale: Param<Tensor<1>>,
    up: ConvTranspose2d,
}

type Operation = fn(&Scaled, Tensor<4>) -> Tensor<4>;

struct Applied(Operation);

impl Task for Applied {
    type Module = Scaled;
    type Inputs = (Tensor<4>,);

    fn loss(&self, module: &Scaled, (x,): Self::Inputs) -> Tensor<1> {
        let channels = x.dims()[1];
        let y = (self.0)(module, x * module.scale.val().reshape([1, channels, 1, 1]));
        // Weights that differ from entry to entry, so that no error cancels.
        let y: Tensor<2> = y.flatten(1, 3);
        let entries = i64::try_from(y.dims()[1]).unwrap_or(0);
        let weights = Tensor::<1, Int>::arange(1..entries + 1, &y.device())
            .float()
            .sin();
        (y * weights.cast(DType::F32).unsqueeze())
            .sum_dim(1)
            .squeeze_dim(1)
    }
}

fn scaled() -> Scaled {
    let device = Device::flex();
    settled(
        Scaled {
            scale: Param::from_tensor(Tensor::ones([4], &device)),
            up: ConvTranspose2dConfig::new([4, 2], [2, 3])
                .with_stride([2, 1])
                .with_groups(2)
                .init(&device),
        },
        1.0,
    )
}

fn operations() -> Vec<(&'static str, Operation)> {
    vec![
        ("max pool, padded", |_, x| {
            max_pool2d(
                x,
                MaxPoolOptions::new([3, 2])
                    .with_padding([1, 1])
                    .with_stride([2, 1]),
            )
        }),
        ("max pool, dilated", |_, x| {
            max_pool2d(
                x,
                MaxPoolOptions::new([2, 2])
                    .with_dilation([2, 1])
                    .with_stride([1, 2]),
            )
        }),
        ("max pool, ceil", |_, x| {
            max_pool2d(
                x,
                MaxPoolOptions::new([2, 2])
                    .with_stride([2, 2])
                    .with_ceil_mode(true),
            )
        }),
        ("average pool, padding counted", |_, x| {
            avg_pool2d(
                x,
                AvgPoolOptions::new([3, 2])
                    .with_padding([1, 1])
                    .with_stride([2, 1])
                    .with_count_include_pad(true),
            )
        }),
        ("average pool, padding not counted", |_, x| {
            avg_pool2d(
                x,
                AvgPoolOptions::new([3, 2])
                    .with_padding([1, 1])
                    .with_stride([2, 2])
                    .with_count_include_pad(false),
            )
        }),
        ("average pool, ceil", |_, x| {
            avg_pool2d(
                x,
                AvgPoolOptions::new([2, 2])
                    .with_stride([2, 2])
                    .with_ceil_mode(true)
                    .with_count_include_pad(false),
            )
        }),
        ("adaptive average pool", |_, x| {
            adaptive_avg_pool2d(x, [3, 2])
        }),
        ("transposed convolution", |module, x| module.up.forward(x)),
        ("gelu", |_, x| activation::gelu(x)),
        ("log-sigmoid", |_, x| activation::log_sigmoid(x)),
        ("sigmoid", |_, x| activation::sigmoid(x)),
        ("silu", |_, x| activation::silu(x)),
        ("softplus", |_, x| activation::softplus(x, 1.0)),
        ("leaky relu", |_, x| activation::leaky_relu(x, 0.1)),
        ("hard sigmoid", |_, x| activation::hard_sigmoid(x, 0.3, 0.5)),
        ("softmax", |_, x| activation::softmax(x, 3)),
        ("log-softmax", |_, x| activation::log_softmax(x, 2)),
        ("softmin", |_, x| activation::softmin(x, 1)),
        ("powers", |_, x| {
            (x.clone().abs() + 1.0).powf_scalar(1.3)
                + x.clone().powi_scalar(3)
                + (x.abs() + 0.5).sqrt().recip()
        }),
        ("exponentials", |_, x| {
            x.clone().exp().log1p() + x.clone().sin() * x.clone().cos() + x.erf()
        }),
        ("comparisons", |_, x| {
            x.clone().mask_fill(x.clone().greater_elem(0.2), 0.2) + x.clone().clamp(-0.3, 0.4) * x
        }),
        ("masks", |_, x| {
            x.clone().mask_where(
                x.clone().lower_equal_elem(0.0),
                x.clone().mul_scalar(0.3).tanh(),
            )
        }),
        ("slices", |_, x| {
            let y = x.clone().slice([0..3, 1..3, 0..4, 2..5]).flip([2]);
            Tensor::cat(
                vec![
                    y.clone(),
                    y.clone().permute([0, 2, 1, 3]).swap_dims(1, 2) - 1.0,
                ],
                1,
            )
            .repeat_dim(3, 2)
        }),
        ("reductions", |_, x| {
            x.clone().max_dim(3) + x.clone().min_dim(2) * x.clone().mean_dim(1) - x.sum_dim(1)
        }),
        ("cumulative sum", |_, x| x.cumsum(2)),
        ("gather", |_, x| {
            let indices = x.clone().argmax(3);
            let rows = Tensor::from_data([1, 0, 3, 3, 2, 1, 0], &x.device());
            x.clone().gather(3, indices) + x.select(2, rows)
        }),
    ]
}

#[test]
fn values_and_gradients_are_burns() {
    let batch = Batch::new(vec![floats(&[3, 4, 7, 6], 1.0)]).expect("a batch");
    for (name, operation) in operations() {
        let module = scaled();
        let source = source(Applied(operation), &module, &batch, Precision::F32).expect(name);
        let graph = source.trace.graph(Function::Loss, &batch).expect(name);
        let values = host(&source.engine.output(&graph, &batch).expect(name)).expect(name);
        let gradient = source
            .gradients_of(Function::Loss, &batch, None)
            .expect(name)
            .to_rows()
            .sum_dim(0);
        let gradient = host(&gradient).expect(name);

        let device = Device::flex().autodiff();
        let module = super::models::single(module).train().fork(&device);
        let x = Tensor::<4>::from_data(floats(&[3, 4, 7, 6], 1.0), (&device, DType::F32));
        let loss = Applied(operation).loss(&module, (x,));
        let expected = host(&loss.clone().unsqueeze::<2>()).expect(name);
        let gradients = loss.sum().backward();
        let scale = host(
            &module
                .scale
                .val()
                .grad(&gradients)
                .expect(name)
                .unsqueeze::<2>(),
        )
        .expect(name);
        let off = [
            difference(&values, &expected),
            difference(&gradient[..4], &scale),
        ];
        assert!(off[0] < 1e-5 && off[1] < 1e-4, "{name}: {off:?}");
    }
}

#[test]
fn an_operation_that_is_not_known_is_named() {
    let batch = Batch::new(vec![floats(&[3, 4, 7, 6], 1.0)]).expect("a batch");
    let enlarge: Operation = |_, x| {
        interpolate(
            x,
            InterpolateOptions::new(InterpolateMode::Nearest).with_output_size([9, 9]),
        )
    };
    let error = source(Applied(enlarge), &scaled(), &batch, Precision::F32)
        .expect_err("interpolation is not known");
    assert!(
        matches!(error, Error::Unsupported { ref operation } if operation == "Interpolate"),
        "{error}"
    );
}
