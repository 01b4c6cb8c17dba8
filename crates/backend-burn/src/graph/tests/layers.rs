//! Convolutions, pooling, normalisation, attention, embedding.

use burn::{
    backend::{Flex, TensorMetadata, ir::OperationIr, ops::FloatTensorOps},
    tensor::{
        Bool, FloatDType, Int, Shape, Tensor, TensorData, module,
        ops::{
            AttentionModuleOptions, AvgPoolOptions, ConvOptions, ConvTransposeOptions,
            MaxPoolOptions, UnfoldOptions,
        },
    },
};

use super::{check, close, host, record, upload, wave};
use crate::graph::RecordedConvolution;

#[test]
fn convolutions() {
    check("conv1d", [2 * 4 * 9, 6 * 2 * 3, 6], |[x, w, b]| {
        let options = ConvOptions::new_with_padding([2], [(1, 2)], [2], 2);
        module::conv1d(x.reshape([2, 4, 9]), w.reshape([6, 2, 3]), Some(b), options).flatten(0, 2)
    });
    check("conv2d", [2 * 2 * 5 * 6, 3 * 2 * 2 * 3, 3], |[x, w, b]| {
        let options = ConvOptions::new([1, 2], [1, 0], [1, 1], 1);
        module::conv2d(
            x.reshape([2, 2, 5, 6]),
            w.reshape([3, 2, 2, 3]),
            Some(b),
            options,
        )
        .flatten(0, 3)
    });
    check("grouped conv2d", [4 * 7 * 6, 4 * 2 * 2 * 3], |[x, w]| {
        let options = ConvOptions::new_with_padding([2, 1], [(1, 0), (2, 1)], [2, 2], 2);
        module::conv2d(
            x.reshape([1, 4, 7, 6]),
            w.reshape([4, 2, 2, 3]),
            None,
            options,
        )
        .flatten(0, 3)
    });
    check("conv3d", [2 * 4 * 4 * 5, 2 * 2 * 2 * 3, 2], |[x, w, b]| {
        let options = ConvOptions::new([1, 2, 1], [1, 0, 1], [1, 1, 2], 2);
        let (x, w) = (x.reshape([1, 2, 4, 4, 5]), w.reshape([2, 1, 2, 2, 3]));
        module::conv3d(x, w, Some(b), options).flatten(0, 4)
    });
}

#[test]
fn transposed_convolutions() {
    check(
        "conv_transpose1d",
        [2 * 4 * 3, 4 * 2 * 3, 4],
        |[x, w, b]| {
            let options = ConvTransposeOptions::new([2], [1], [1], [2], 2);
            module::conv_transpose1d(x.reshape([2, 4, 3]), w.reshape([4, 2, 3]), Some(b), options)
                .flatten(0, 2)
        },
    );
    check(
        "conv_transpose2d",
        [2 * 3 * 2, 2 * 3 * 2 * 2, 3],
        |[x, w, b]| {
            let options = ConvTransposeOptions::new([2, 1], [0, 1], [1, 0], [1, 2], 1);
            let (x, w) = (x.reshape([1, 2, 3, 2]), w.reshape([2, 3, 2, 2]));
            module::conv_transpose2d(x, w, Some(b), options).flatten(0, 3)
        },
    );
    check(
        "conv_transpose3d",
        [2 * 2 * 2 * 3, 2 * 2 * 2 * 2],
        |[x, w]| {
            let options = ConvTransposeOptions::new([2, 1, 1], [0, 1, 0], [1, 0, 0], [1, 1, 1], 2);
            let (x, w) = (x.reshape([1, 2, 2, 2, 3]), w.reshape([2, 1, 2, 2, 2]));
            module::conv_transpose3d(x, w, None, options).flatten(0, 4)
        },
    );
}

/// The tapped form of a convolution: patches times flattened weights, group by group.
fn unfolds(recorded: &super::Recorded, sizes: [usize; 2], shapes: [&[usize]; 2]) {
    let operation = recorded
        .operations
        .iter()
        .find_map(|operation| match operation {
            OperationIr::Module(operation) => RecordedConvolution::of(operation).ok(),
            _ => None,
        });
    let convolution = operation.expect("a convolution");
    let [x, w] = [upload(&wave(sizes[0], 1.0)), upload(&wave(sizes[1], 2.0))];
    let expected = recorded.evaluate(&[x.clone(), w.clone()]);
    let patches = convolution
        .unfolding()
        .patches::<Flex>(Flex::float_reshape(x, Shape::from(shapes[0].to_vec())));
    let [n, groups, positions, width] = patches.shape().dims::<4>();
    let channels = shapes[1][0] / groups;
    let w = Flex::float_reshape(w, Shape::new([1, groups, channels, width]));
    let product = Flex::float_matmul(patches, Flex::float_swap_dims(w, 2, 3));
    let product = Flex::float_swap_dims(product, 2, 3);
    assert_eq!(product.shape().dims(), [n, groups, channels, positions]);
    close(
        "unfold",
        &host(product),
        &host(expected.expect("a value")),
        1e-14,
    );
}

#[test]
fn convolutions_are_products_with_unfolded_patches() {
    let recorded = record([2 * 4 * 9, 6 * 2 * 3], |[x, w]| {
        let options = ConvOptions::new_with_padding([2], [(1, 2)], [2], 2);
        module::conv1d(x.reshape([2, 4, 9]), w.reshape([6, 2, 3]), None, options).flatten(0, 2)
    });
    unfolds(&recorded, [2 * 4 * 9, 6 * 2 * 3], [&[2, 4, 9], &[6, 2, 3]]);
    let recorded = record([2 * 4 * 7 * 6, 4 * 2 * 2 * 3], |[x, w]| {
        let options = ConvOptions::new_with_padding([2, 1], [(1, 0), (2, 1)], [2, 2], 2);
        module::conv2d(
            x.reshape([2, 4, 7, 6]),
            w.reshape([4, 2, 2, 3]),
            None,
            options,
        )
        .flatten(0, 3)
    });
    unfolds(
        &recorded,
        [2 * 4 * 7 * 6, 4 * 2 * 2 * 3],
        [&[2, 4, 7, 6], &[4, 2, 2, 3]],
    );
    let recorded = record([2 * 3 * 5 * 6, 2 * 3 * 3 * 2], |[x, w]| {
        let options = ConvOptions::new([1, 3], [0, 1], [1, 1], 1);
        module::conv2d(
            x.reshape([2, 3, 5, 6]),
            w.reshape([2, 3, 3, 2]),
            None,
            options,
        )
        .flatten(0, 3)
    });
    unfolds(
        &recorded,
        [2 * 3 * 5 * 6, 2 * 3 * 3 * 2],
        [&[2, 3, 5, 6], &[2, 3, 3, 2]],
    );
}

#[test]
fn unfolding() {
    check("unfold4d", [2 * 4 * 5], |[x]| {
        let options = UnfoldOptions::new([2, 1], [0, 0], [1, 1]);
        module::unfold4d(x.reshape([1, 2, 4, 5]), [2, 3], options).flatten(0, 2)
    });
    check("padded unfold4d", [2 * 4 * 5], |[x]| {
        let options = UnfoldOptions::new([2, 1], [1, 0], [1, 2]);
        module::unfold4d(x.reshape([1, 2, 4, 5]), [2, 2], options).flatten(0, 2)
    });
}

#[test]
fn maximum_pooling() {
    check("max_pool1d", [2 * 2 * 9], |[x]| {
        let options = MaxPoolOptions::new([3]).with_stride([2]).with_padding([1]);
        module::max_pool1d(x.reshape([2, 2, 9]), options.with_dilation([2])).flatten(0, 2)
    });
    check("max_pool2d", [2 * 2 * 5 * 6], |[x]| {
        let options = MaxPoolOptions::new([2, 3])
            .with_stride([1, 2])
            .with_padding([1, 1]);
        module::max_pool2d(x.reshape([2, 2, 5, 6]), options).flatten(0, 3)
    });
    check("max_pool2d in ceil mode", [2 * 6 * 7], |[x]| {
        let options = MaxPoolOptions::new([2, 2])
            .with_stride([3, 2])
            .with_dilation([2, 1]);
        module::max_pool2d(x.reshape([1, 2, 6, 7]), options.with_ceil_mode(true)).flatten(0, 3)
    });
    check("max_pool1d with indices", [2 * 9], |[x]| {
        let options = MaxPoolOptions::new([3]).with_padding([1]);
        let (values, indices) = module::max_pool1d_with_indices(x.reshape([1, 2, 9]), options);
        let places = indices.cast(FloatDType::from(values.dtype()));
        (values * places).flatten(0, 2)
    });
    check("max_pool2d with indices", [2 * 5 * 6], |[x]| {
        let options = MaxPoolOptions::new([2, 2]).with_padding([1, 0]);
        let (values, indices) = module::max_pool2d_with_indices(x.reshape([1, 2, 5, 6]), options);
        let places = indices.cast(FloatDType::from(values.dtype()));
        (values * places).flatten(0, 3)
    });
}

#[test]
fn average_pooling() {
    check("avg_pool1d", [2 * 2 * 9], |[x]| {
        let options = AvgPoolOptions::new([3]).with_stride([2]).with_padding([1]);
        module::avg_pool1d(x.reshape([2, 2, 9]), options).flatten(0, 2)
    });
    check("avg_pool1d in ceil mode", [2 * 2 * 8], |[x]| {
        let options = AvgPoolOptions::new([3])
            .with_stride([2])
            .with_count_include_pad(false);
        module::avg_pool1d(x.reshape([2, 2, 8]), options.with_ceil_mode(true)).flatten(0, 2)
    });
    check("avg_pool2d", [2 * 2 * 5 * 6], |[x]| {
        let options = AvgPoolOptions::new([2, 3])
            .with_stride([1, 2])
            .with_padding([1, 1]);
        module::avg_pool2d(x.reshape([2, 2, 5, 6]), options).flatten(0, 3)
    });
    check("avg_pool2d without padding", [2 * 5 * 6], |[x]| {
        let options = AvgPoolOptions::new([2, 3])
            .with_stride([2, 2])
            .with_padding([1, 1]);
        module::avg_pool2d(
            x.reshape([1, 2, 5, 6]),
            options.with_count_include_pad(false),
        )
        .flatten(0, 3)
    });
    check("avg_pool2d in ceil mode", [2 * 6 * 7], |[x]| {
        let options = AvgPoolOptions::new([3, 2])
            .with_stride([2, 3])
            .with_padding([1, 0]);
        module::avg_pool2d(x.reshape([1, 2, 6, 7]), options.with_ceil_mode(true)).flatten(0, 3)
    });
    check(
        "avg_pool2d in ceil mode without padding",
        [2 * 6 * 7],
        |[x]| {
            let options = AvgPoolOptions::new([3, 2])
                .with_stride([2, 3])
                .with_padding([1, 1]);
            let options = options.with_ceil_mode(true).with_count_include_pad(false);
            module::avg_pool2d(x.reshape([1, 2, 6, 7]), options).flatten(0, 3)
        },
    );
}

#[test]
fn adaptive_pooling() {
    check("adaptive_avg_pool1d", [2 * 2 * 7], |[x]| {
        module::adaptive_avg_pool1d(x.reshape([2, 2, 7]), 3).flatten(0, 2)
    });
    check("adaptive_avg_pool2d", [2 * 2 * 5 * 7], |[x]| {
        module::adaptive_avg_pool2d(x.reshape([2, 2, 5, 7]), [2, 4]).flatten(0, 3)
    });
    check("adaptive_avg_pool3d", [2 * 3 * 4 * 5], |[x]| {
        module::adaptive_avg_pool3d(x.reshape([1, 2, 3, 4, 5]), [2, 1, 3]).flatten(0, 4)
    });
}

#[test]
fn normalisation() {
    check("layer_norm", [2 * 3 * 5, 5, 5], |[x, scale, shift]| {
        module::layer_norm(x.reshape([2, 3, 5]), scale, Some(shift), 1e-5).flatten(0, 2)
    });
    check("layer_norm without shift", [3 * 5, 5], |[x, scale]| {
        module::layer_norm(x.reshape([3, 5]), scale, None, 0.1).flatten(0, 1)
    });
    check(
        "batch_norm",
        [2 * 3 * 2 * 2, 3, 3, 3, 3],
        |[x, scale, shift, mean, variance]| {
            let variance = variance.square() + 0.5;
            module::batch_norm(x.reshape([2, 3, 2, 2]), scale, shift, mean, variance, 1e-3)
                .flatten(0, 3)
        },
    );
}

#[test]
fn normalisation_made_of_arithmetic() {
    check("rms_norm", [2 * 3 * 5, 5], |[x, scale]| {
        let x: Tensor<3> = x.reshape([2, 3, 5]);
        let root = ((x.clone() * x.clone()).mean_dim(2) + 1e-6).sqrt();
        (x / root * scale.unsqueeze()).flatten(0, 2)
    });
    check("group_norm", [2 * 4 * 3, 4, 4], |[x, scale, shift]| {
        let x: Tensor<3> = x.reshape([2, 2, 6]);
        let centred = x.clone() - x.mean_dim(2);
        let variance = (centred.clone() * centred.clone()).mean_dim(2);
        let normalised = (centred / (variance + 1e-5).sqrt()).reshape([2, 4, 3]);
        let (scale, shift) = (scale.reshape([1, 4, 1]), shift.reshape([1, 4, 1]));
        (normalised * scale + shift).flatten(0, 2)
    });
    check(
        "batch_norm of lines without scale",
        [2 * 3 * 4, 3, 3],
        |[x, mean, variance]| {
            let (one, zero) = (mean.ones_like(), mean.zeros_like());
            let variance = variance.square() + 0.5;
            module::batch_norm(x.reshape([2, 3, 4]), one, zero, mean, variance, 1e-3).flatten(0, 2)
        },
    );
}

#[test]
fn linear_maps_and_embeddings() {
    check("linear", [2 * 3 * 4, 4 * 5, 5], |[x, w, b]| {
        module::linear(x.reshape([2, 3, 4]), w.reshape([4, 5]), Some(b)).flatten(0, 2)
    });
    check("linear without bias", [3 * 4, 4 * 5], |[x, w]| {
        module::linear(x.reshape([3, 4]), w.reshape([4, 5]), None).flatten(0, 1)
    });
    check("embedding", [5 * 3], |[table]| {
        let tokens = Tensor::<2, Int>::from_data([[0, 4, 1], [1, 1, 3]], &table.device());
        module::embedding(table.reshape([5, 3]), tokens).flatten(0, 2)
    });
    check("embedding with padding", [5 * 3], |[table]| {
        let tokens = Tensor::<2, Int>::from_data([[0, 4, 1], [1, 1, 0]], &table.device());
        let kept = tokens.clone().not_equal_scalar(1).float();
        let kept = kept.cast(FloatDType::from(table.dtype())).unsqueeze_dim(2);
        (module::embedding(table.reshape([5, 3]), tokens) * kept).flatten(0, 2)
    });
}

#[test]
fn attention() {
    let plain = [2 * 2 * 3 * 4, 2 * 2 * 3 * 4, 2 * 2 * 3 * 5];
    check("attention", plain, |[q, k, v]| {
        let (q, k) = (q.reshape([2, 2, 3, 4]), k.reshape([2, 2, 3, 4]));
        let v = v.reshape([2, 2, 3, 5]);
        module::attention(q, k, v, None, None, AttentionModuleOptions::default()).flatten(0, 3)
    });
    check("causal attention", plain, |[q, k, v]| {
        let (q, k) = (q.reshape([2, 2, 3, 4]), k.reshape([2, 2, 3, 4]));
        let v = v.reshape([2, 2, 3, 5]);
        let options = AttentionModuleOptions {
            scale: Some(0.7),
            softcap: Some(2.0),
            is_causal: true,
        };
        module::attention(q, k, v, None, None, options).flatten(0, 3)
    });
    check("masked attention", [12, 12, 12, 9], |[q, k, v, bias]| {
        let (q, k) = (q.reshape([1, 1, 3, 4]), k.reshape([1, 1, 3, 4]));
        let mask = [
            [false, true, false],
            [true, true, true],
            [false, false, false],
        ];
        let mask = Tensor::<2, Bool>::from_data(TensorData::from(mask), &q.device());
        let (v, bias) = (v.reshape([1, 1, 3, 4]), bias.reshape([1, 1, 3, 3]));
        let options = AttentionModuleOptions::default();
        module::attention(q, k, v, Some(mask.unsqueeze()), Some(bias), options).flatten(0, 3)
    });
}
