//! Activation functions and arithmetic.

use burn::tensor::{FloatDType, Int, Tensor, activation as act};

use super::check;

/// One check for every named function of a tensor of rank two.
macro_rules! each {
    ($($name:literal: |$x:ident| $value:expr),* $(,)?) => {
        $(check($name, [12], |[x]| {
            let $x: Tensor<2> = x.reshape([3, 4]) * 2.0;
            $value.flatten(0, 1)
        });)*
    };
}

#[test]
fn activations() {
    each!(
        "relu": |x| act::relu(x),
        "gelu": |x| act::gelu(x),
        "gelu by tanh": |x| act::gelu_approximate(x),
        "sigmoid": |x| act::sigmoid(x),
        "log_sigmoid": |x| act::log_sigmoid(x),
        "hard_sigmoid": |x| act::hard_sigmoid(x, 0.3, 0.4),
        "leaky_relu": |x| act::leaky_relu(x, 0.1),
        "softmax": |x| act::softmax(x, 1),
        "softmax of columns": |x| act::softmax(x, 0),
        "log_softmax": |x| act::log_softmax(x, 1),
        "softmin": |x| act::softmin(x, 1),
        "quiet_softmax": |x| act::quiet_softmax(x, 1),
        "silu": |x| act::silu(x),
        "hard_swish": |x| act::hard_swish(x),
        "mish": |x| act::mish(x),
        "elu": |x| act::elu(x, 0.7),
        "elu by masks": |x| {
            let below = x.clone().lower_equal_scalar(0);
            let negative = x.clone().mask_fill(below.clone().bool_not(), 0.0);
            x.mask_where(below, (negative.exp() - 1.0) * 0.7)
        },
        "leaky_relu by masks": |x| {
            let below = x.clone().lower_equal_scalar(0);
            x.clone().mask_where(below, x * 0.1)
        },
        "celu": |x| act::celu(x, 0.7),
        "selu": |x| act::selu(x),
        "softplus": |x| act::softplus(x, 1.5),
        "softsign": |x| act::softsign(x),
        "tanhshrink": |x| act::tanhshrink(x),
        "hardtanh": |x| act::hardtanh(x, -0.7, 0.9),
        "relu6": |x| act::relu6(x),
        "glu": |x| act::glu(x, 1),
        "soft_shrink": |x| act::soft_shrink(x, 0.3),
    );
    check("prelu", [12, 3], |[x, slopes]| {
        act::prelu(x.reshape([2, 3, 2]), slopes).flatten(0, 2)
    });
}

#[test]
fn functions() {
    each!(
        "exp": |x| x.exp(),
        "log": |x| (x.square() + 0.2).log(),
        "log1p": |x| (x.square() - 0.5).log1p(),
        "erf": |x| x.erf(),
        "sqrt": |x| (x.square() + 0.1).sqrt(),
        "recip": |x| (x + 3.0).recip(),
        "sin": |x| x.sin(),
        "cos": |x| x.cos(),
        "tan": |x| (x * 0.5).tan(),
        "sinh": |x| x.sinh(),
        "cosh": |x| x.cosh(),
        "tanh": |x| x.tanh(),
        "asin": |x| (x * 0.4).asin(),
        "acos": |x| (x * 0.4).acos(),
        "atan": |x| x.atan(),
        "asinh": |x| x.asinh(),
        "acosh": |x| (x.square() + 1.5).acosh(),
        "atanh": |x| (x * 0.4).atanh(),
        "round": |x| x.clone().round() * x,
        "floor": |x| x.clone().floor() * x,
        "ceil": |x| x.clone().ceil() * x,
        "trunc": |x| x.clone().trunc() * x,
        "cube": |x| x.powi_scalar(3),
        "inverse square": |x| (x + 3.0).powi_scalar(-2),
        "power": |x| (x.square() + 0.5).powf_scalar(1.3),
        "negative base": |x| x.powf_scalar(4.0),
        "square of a product": |x| x.clone() * x.clone() * x,
    );
}

#[test]
fn arithmetic() {
    each!(
        "scalars": |x| ((x + 1.5) * 0.7 - 0.3) / 3.0,
        "remainder by a number": |x| x.remainder_scalar(0.7),
        "abs": |x| x.abs(),
        "sign": |x| x.clone().sign() * x,
        "neg": |x| x.neg().exp(),
        "clamp": |x| x.clamp(-0.8, 0.9),
        "clamp_min": |x| x.clamp_min(0.1),
        "clamp_max": |x| x.clamp_max(0.1),
        "integer powers": |x| {
            let powers = Tensor::<2, Int>::from_data([[0, 1, 2, 3]], &x.device());
            (x.clone().square() + 0.3).powf(powers.cast(FloatDType::from(x.dtype())))
        },
    );
    check("binary", [6, 6], |[a, b]| {
        let safe = b.clone().square() + 0.5;
        (a.clone() + b.clone()) * (a.clone() - b) / safe
    });
    check("broadcast", [6, 3], |[a, b]| {
        let (a, b) = (a.reshape([2, 3]), b.reshape([1, 3]));
        (a.clone() * b.clone() + a / (b + 2.0)).flatten(0, 1)
    });
    check("powf", [6, 6], |[a, b]| (a.square() + 0.2).powf(b));
    check("hypot", [6, 6], |[a, b]| a.hypot(b));
    check("atan2", [6, 6], |[a, b]| a.atan2(b));
    check("remainder", [6, 6], |[a, b]| a.remainder(b.square() + 0.3));
    check("max_pair", [6, 6], |[a, b]| a.max_pair(b));
    check("min_pair", [6, 6], |[a, b]| a.min_pair(b));
    check("matmul", [2 * 3 * 4, 4 * 5], |[a, b]| {
        a.reshape([2, 3, 4])
            .matmul(b.reshape([1, 4, 5]))
            .flatten(0, 2)
    });
    check("cross", [6, 6], |[a, b]| {
        a.reshape([2, 3]).cross(b.reshape([2, 3]), 1).flatten(0, 1)
    });
}

#[test]
fn reductions() {
    each!(
        "sum": |x| x.exp().sum().reshape([1, 1]),
        "mean": |x| x.exp().mean().reshape([1, 1]),
        "prod": |x| x.prod().reshape([1, 1]),
        "max": |x| x.max().reshape([1, 1]),
        "min": |x| x.min().reshape([1, 1]),
        "max_abs": |x| x.max_abs().reshape([1, 1]),
        "sum_dim": |x| x.sum_dim(0),
        "sum_dims": |x| x.sum_dims(&[0, 1]),
        "mean_dim": |x| x.mean_dim(1),
        "prod_dim": |x| x.prod_dim(1),
        "max_dim": |x| x.max_dim(1),
        "min_dim": |x| x.min_dim(0),
        "max_abs_dim": |x| x.max_abs_dim(1),
        "cumsum": |x| x.cumsum(1),
        "cumprod": |x| x.cumprod(1),
        "cummin": |x| x.cummin(1),
        "cummax": |x| x.cummax(0),
        "var": |x| x.var(1),
        "median": |x| x.median(1),
    );
}
