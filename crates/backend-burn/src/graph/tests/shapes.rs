//! Views, indexing, order, and the integers and bools that steer them.

use burn::tensor::{Bool, FloatDType, IndexingUpdateOp, Int, Tensor, ops::PadMode, s};

use super::check;

/// One check for every named function of a tensor of rank two.
macro_rules! each {
    ($($name:literal: |$x:ident| $value:expr),* $(,)?) => {
        $(check($name, [12], |[x]| {
            let $x: Tensor<2> = x.reshape([3, 4]);
            let y = $value;
            let size = y.shape().num_elements();
            y.reshape([size])
        });)*
    };
}

fn ints<const D: usize>(x: &Tensor<D>, values: [[i64; 2]; 2]) -> Tensor<2, Int> {
    Tensor::from_data(values, &x.device())
}

fn mask(x: &Tensor<2>) -> Tensor<2, Bool> {
    x.clone().greater_scalar(0.1)
}

#[test]
fn views() {
    each!(
        "swap_dims": |x| x.swap_dims(0, 1),
        "permute": |x| x.reshape([3, 2, 2]).permute([2, 0, 1]),
        "flip": |x| x.flip([0, 1]),
        "expand": |x| x.reshape([1, 12]).expand([3, 12]),
        "repeat_dim": |x| x.repeat_dim(1, 2),
        "cat": |x| Tensor::cat(vec![x.clone(), x.clone().exp(), x], 1),
        "slice": |x| x.slice(s![1..3, 0..4;2]),
        "slice_assign": |x| x.clone().slice_assign(s![1..3, 0..2], x.slice(s![0..2, 2..4]).exp()),
        "unfold": |x| x.unfold::<3, _>(1, 2, 1),
        "pad": |x| x.pad([(1, 0), (2, 1)], PadMode::Constant(0.5)),
        "pad by reflection": |x| x.pad([(1, 0), (2, 1)], PadMode::Reflect),
        "pad by edges": |x| x.pad([(1, 0), (2, 1)], PadMode::Edge),
        "roll": |x| x.roll(&[1], &[1]),
    );
}

#[test]
fn indexing() {
    each!(
           "select": |x| x.clone().select(1, Tensor::from_data([3, 0, 3], &x.device())),
           "select_assign": |x| {
               let places = Tensor::<1, Int>::from_data([2, 0], &x.device());
               x.clone().select_assign(0, places, x.slice(s![0..2, ..]).exp(), IndexingUpdateOp::Add)
           },
           "gather": |x| x.clone().slice(s![0..2, ..]).gather(1, ints(&x, [[1, 1], [3, 0]])),
           "scatter": |x| {
               let places = ints(&x, [[1, 1], [3, 0]]);
    let base = x.clone().slice(s![0..2, ..]);
               base.scatter(1, places, x.slice(s![0..2, 0..2]).exp(), IndexingUpdateOp::Add)
           },
           "gather_nd": |x| x.clone().gather_nd::<2, 1>(ints(&x, [[1, 1], [2, 0]])),
           "scatter_nd": |x| {
               let values = x.clone().slice(s![0..1, 0..2]).reshape([2]);
               let places = ints(&x, [[1, 1], [2, 0]]);
               x.exp().scatter_nd::<2, 1>(places, values, IndexingUpdateOp::Add)
           },
           "mask_where": |x| x.clone().exp().mask_where(mask(&x), x.sin()),
           "mask_fill": |x| x.clone().exp().mask_fill(mask(&x), 0.3),
           "triu": |x| x.triu(0).exp(),
       );
}

#[test]
fn order() {
    each!(
        "sort": |x| x.sort(1),
        "sort_descending": |x| x.sort_descending(0),
        "topk": |x| x.topk(2, 1),
        "topk_with_indices": |x| {
            let (values, places) = x.topk_with_indices(2, 1);
            values.clone() * like(places, &values)
        },
        "sort_with_indices": |x| {
            let (values, places) = x.sort_with_indices(1);
            values.clone() * like(places, &values)
        },
        "max_dim_with_indices": |x| {
            let (values, places) = x.max_dim_with_indices(1);
            values.clone() * like(places, &values)
        },
        "min_dim_with_indices": |x| {
            let (values, places) = x.min_dim_with_indices(1);
            values.clone() * like(places, &values)
        },
        "argsort": |x| x.clone().exp().gather(1, x.argsort(1)),
        "argtopk": |x| x.clone().exp().gather(1, x.argtopk(2, 1)),
        "argmax": |x| x.clone().exp().gather(1, x.argmax(1)),
        "argmin": |x| x.clone().exp().gather(1, x.argmin(1)),
    );
}

/// Integers as floats of the same type as others.
fn like(places: Tensor<2, Int>, values: &Tensor<2>) -> Tensor<2> {
    places.cast(FloatDType::from(values.dtype()))
}

/// An integer tensor multiplies floats, so that its values show.
fn shown(x: &Tensor<2>, places: Tensor<2, Int>) -> Tensor<2> {
    x.clone().slice(s![0..2, 0..2]) * like(places, x)
}

#[test]
fn integers() {
    each!(
        "arithmetic": |x| {
            let a = ints(&x, [[7, -3], [2, 5]]);
            let b = ints(&x, [[2, 4], [3, 3]]);
            let c = (a.clone() + b.clone()) * (a.clone() - b.clone()) / b.clone() + a.remainder(b);
            shown(&x, ((c * 3 - 1).neg().abs() / 2 + 5).remainder_scalar(7))
        },
        "powers": |x| {
            let a = ints(&x, [[1, 2], [3, 2]]);
            shown(&x, a.clone().powi(a.clone()) + a.powi_scalar(3))
        },
        "clamps": |x| {
            let a = ints(&x, [[7, -3], [2, 5]]);
            shown(&x, a.clone().clamp(0, 4) + a.clone().clamp_min(1) * a.clone().clamp_max(3) + a.sign())
        },
        "reductions": |x| {
            let a = ints(&x, [[7, -3], [2, 5]]);
            let whole = a.clone().sum() + a.clone().prod() + a.clone().max() - a.clone().min();
            let lines = a.clone().sum_dim(0) + a.clone().prod_dim(0) + a.clone().max_dim(0);
            let lines = lines + a.clone().min_dim(0) + a.clone().max_abs_dim(0) + a.clone().mean_dim(0);
            let sums = a.clone().cumsum(1) + a.clone().cumprod(0) + a.clone().cummax(1) - a.cummin(0);
            shown(&x, whole.reshape([1, 1]) + lines + sums)
        },
        "order": |x| {
            let a = ints(&x, [[7, -3], [2, 5]]);
            let (values, places) = a.clone().sort_with_indices(1);
            let top = like(a.clone().topk(1, 1), &x) + like(a.clone().argmax(1), &x);
            let order = like(a.clone().argsort(1), &x) * like(places, &x) + like(a.argmin(0), &x);
            x.clone().slice(s![0..2, 0..2]) * (top + order + like(values, &x))
        },
        "bits": |x| {
            let a = ints(&x, [[7, 3], [2, 5]]);
            let b = ints(&x, [[2, 4], [3, 1]]);
            let c = a.clone().bitwise_and(b.clone()) + a.clone().bitwise_or(b.clone()) + a.clone().bitwise_xor(b.clone());
            let d = a.clone().bitwise_left_shift(b.clone()) + a.clone().bitwise_right_shift_scalar(1).bitwise_not();
            shown(&x, c + d + a.bitwise_and_scalar(6) + b.bitwise_left_shift_scalar(2))
        },
        "views": |x| {
            let a = ints(&x, [[7, -3], [2, 5]]);
            let b = Tensor::cat(vec![a.clone().flip([1]), a.clone().swap_dims(0, 1)], 0);
            let c = a.clone().gather(1, ints(&x, [[1, 0], [0, 0]])).pad([(0, 0), (0, 0)], PadMode::Edge);
            let chosen = b.select(0, Tensor::from_data([3, 0], &x.device()));
            let ones = Tensor::<2, Int>::ones([2, 2], &x.device()) + Tensor::full([2, 2], 3, &x.device());
            shown(&x, chosen + c + ones.mask_fill(a.equal_scalar(5), 9))
        },
        "ranges": |x| shown(&x, Tensor::<1, Int>::arange(0..4, &x.device()).reshape([2, 2])),
    );
}

#[test]
fn questions() {
    fn answered(x: &Tensor<2>, answer: Tensor<2, Bool>) -> Tensor<2> {
        x.clone() * like(answer.int(), x)
    }
    each!(
        "comparisons": |x| {
            let y = x.clone().flip([1]);
            let a = x.clone().greater(y.clone()).bool_or(x.clone().lower_equal_scalar(0.2));
            let b = x.clone().lower(y.clone()).bool_xor(x.clone().greater_equal(y.clone()));
            let c = x.clone().equal(y.clone()).bool_or(x.clone().not_equal_scalar(0.5)).bool_and(a);
            answered(&x, c.bool_and(b).bool_or(x.clone().lower_equal(y).bool_not()))
        },
        "special values": |x| answered(&x, x.clone().is_nan().bool_or(x.clone().is_inf()).bool_not()),
        "all and any": |x| {
            let mask = mask(&x);
            let lines = mask.clone().any_dim(0).bool_and(mask.clone().all_dim(0).bool_not());
            let whole = mask.clone().any().bool_or(mask.all()).reshape([1, 1]).expand([3, 4]);
            answered(&x, lines.expand([3, 4]).bool_and(whole))
        },
        "all and any of floats": |x| {
            let y = x.clone().clamp_min(0.0);
            let lines = y.clone().any_dim(1).bool_or(y.clone().all_dim(1)).expand([3, 4]);
            answered(&x, lines.bool_and(y.clone().any().bool_or(y.all()).reshape([1, 1]).expand([3, 4])))
        },
        "integer comparisons": |x| {
            let a = Tensor::<2, Int>::from_data([[1, 2, 3, 4]], &x.device()).expand([3, 4]);
            let b = a.clone().flip([1]);
            let c = a.clone().greater(b.clone()).bool_or(a.clone().equal(b.clone()));
            let d = a.clone().lower_scalar(3).bool_xor(a.not_equal(b));
            answered(&x, c.bool_or(d))
        },
        "masks": |x| {
            let triangle = Tensor::<2, Bool>::tril_mask([3, 4], 0, &x.device());
            let lines = mask(&x).gather(1, Tensor::<2, Int>::zeros([3, 4], &x.device()));
            answered(&x, triangle.flip([1]).mask_where(lines.clone(), lines.bool_not()))
        },
    );
}
