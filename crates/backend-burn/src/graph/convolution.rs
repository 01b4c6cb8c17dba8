//! Convolutions over one or two axes, forward and as a product with unfolded patches.

use burn::{
    backend::{
        Backend, TensorMetadata,
        ir::{Conv1dOpIr, Conv2dOpIr, ModuleOperationIr, TensorIr},
        ops::PadMode,
        tensor::FloatTensor,
    },
    tensor::{Shape, Slice},
};

use super::unsupported;
use crate::Result;

/// A recorded convolution.
pub(crate) enum Convolution<'a> {
    OneAxis(&'a Conv1dOpIr),
    TwoAxes(&'a Conv2dOpIr),
}

/// How the kernel moves along one axis.
struct Motion {
    kernel: usize,
    stride: usize,
    padding: (usize, usize),
    dilation: usize,
    positions: usize,
}

macro_rules! field {
    ($self:ident, $op:ident => $value:expr) => {
        match $self {
            Convolution::OneAxis($op) => $value,
            Convolution::TwoAxes($op) => $value,
        }
    };
}

impl<'a> Convolution<'a> {
    pub(crate) fn of(operation: &'a ModuleOperationIr) -> Result<Self> {
        match operation {
            ModuleOperationIr::Conv1d(op) => Ok(Self::OneAxis(op)),
            ModuleOperationIr::Conv2d(op) => Ok(Self::TwoAxes(op)),
            other => Err(unsupported(other)),
        }
    }

    pub(crate) fn input(&self) -> &'a TensorIr {
        field!(self, op => &op.x)
    }

    pub(crate) fn weight(&self) -> &'a TensorIr {
        field!(self, op => &op.weight)
    }

    pub(crate) fn bias(&self) -> Option<&'a TensorIr> {
        field!(self, op => op.bias.as_ref())
    }

    pub(crate) fn out(&self) -> &'a TensorIr {
        field!(self, op => &op.out)
    }

    pub(crate) fn groups(&self) -> usize {
        field!(self, op => op.options.groups)
    }

    pub(crate) fn forward<B: Backend>(
        &self,
        x: FloatTensor<B>,
        weight: FloatTensor<B>,
        bias: Option<FloatTensor<B>>,
    ) -> FloatTensor<B> {
        match self {
            Self::OneAxis(op) => B::conv1d(x, weight, bias, op.options.clone().into()),
            Self::TwoAxes(op) => B::conv2d(x, weight, bias, op.options.clone().into()),
        }
    }

    fn motions(&self) -> Vec<Motion> {
        let kernel = &self.weight().shape[2..];
        let positions = &self.out().shape[2..];
        let motion = |axis: usize,
                      stride: &[usize],
                      padding: &[(usize, usize)],
                      dilation: &[usize]| Motion {
            kernel: kernel[axis],
            stride: stride[axis],
            padding: padding[axis],
            dilation: dilation[axis],
            positions: positions[axis],
        };
        let axes = 0..kernel.len();
        field!(self, op => {
            let options = &op.options;
            axes.map(|axis| motion(axis, &options.stride, &options.padding, &options.dilation)).collect()
        })
    }

    /// The patches of the input under the kernel, `(n, groups, positions, channels_in / groups · kernel)`: the convolution is
    /// their product with the weight, whose rows are flattened in the same order.
    pub(crate) fn unfold<B: Backend>(&self, x: FloatTensor<B>) -> FloatTensor<B> {
        let motions = self.motions();
        let mut padding = vec![(0, 0), (0, 0)];
        padding.extend(motions.iter().map(|motion| motion.padding));
        let x = B::float_pad(x, &padding, PadMode::Constant(0.0));
        let (n, channels, groups) = (x.shape()[0], x.shape()[1], self.groups());
        let positions: usize = motions.iter().map(|motion| motion.positions).product();
        let kernel: usize = motions.iter().map(|motion| motion.kernel).product();
        let shifted = (0..kernel).map(|entry| {
            let patch = B::float_slice(x.clone(), &slices(&motions, entry, n, channels));
            B::float_reshape(patch, Shape::new([n, channels, 1, positions]))
        });
        let patches = B::float_cat(shifted.collect(), 2);
        let patches = B::float_reshape(
            patches,
            Shape::new([n, groups, channels / groups * kernel, positions]),
        );
        B::float_swap_dims(patches, 2, 3)
    }
}

/// Where one entry of the kernel (row-major) meets the padded input.
fn slices(motions: &[Motion], entry: usize, samples: usize, channels: usize) -> Vec<Slice> {
    let mut rest = entry;
    let mut spatial = Vec::with_capacity(motions.len());
    for motion in motions.iter().rev() {
        let start = rest % motion.kernel * motion.dilation;
        rest /= motion.kernel;
        let end = start + (motion.positions - 1) * motion.stride + 1;
        spatial.push(Slice::with_step(
            start.cast_signed(),
            Some(end.cast_signed()),
            motion.stride.cast_signed(),
        ));
    }
    spatial.reverse();
    [Slice::from(0..samples), Slice::from(0..channels)]
        .into_iter()
        .chain(spatial)
        .collect()
}
