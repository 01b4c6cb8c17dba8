//! Convolutions over one or two axes, forward and as a product with unfolded patches.

use burn::{
    backend::{
        Backend, TensorMetadata,
        ir::{
            Conv1dOpIr, Conv2dOpIr, ConvTranspose1dOpIr, ConvTranspose2dOpIr, ModuleOperationIr,
            TensorIr,
        },
        ops::PadMode,
        tensor::FloatTensor,
    },
    tensor::{Shape, Slice},
};

use super::environment::unsupported;
use crate::Result;

/// A recorded convolution, plain or transposed.
pub(crate) enum RecordedConvolution<'a> {
    OneAxis(&'a Conv1dOpIr),
    TwoAxes(&'a Conv2dOpIr),
    TransposedOneAxis(&'a ConvTranspose1dOpIr),
    TransposedTwoAxes(&'a ConvTranspose2dOpIr),
}

/// How the kernel moves along one axis.
struct KernelAxis {
    kernel: usize,
    stride: usize,
    padding: (usize, usize),
    dilation: usize,
    positions: usize,
}

macro_rules! field {
    ($self:ident, $op:ident => $value:expr) => {
        match $self {
            RecordedConvolution::OneAxis($op) => $value,
            RecordedConvolution::TwoAxes($op) => $value,
            RecordedConvolution::TransposedOneAxis($op) => $value,
            RecordedConvolution::TransposedTwoAxes($op) => $value,
        }
    };
}

impl<'a> RecordedConvolution<'a> {
    pub(crate) fn of(operation: &'a ModuleOperationIr) -> Result<Self> {
        match operation {
            ModuleOperationIr::Conv1d(op) => Ok(Self::OneAxis(op)),
            ModuleOperationIr::Conv2d(op) => Ok(Self::TwoAxes(op)),
            ModuleOperationIr::ConvTranspose1d(op) => Ok(Self::TransposedOneAxis(op)),
            ModuleOperationIr::ConvTranspose2d(op) => Ok(Self::TransposedTwoAxes(op)),
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

    /// Whether it puts a patch of the output in place of each position of the input, instead of the
    /// other way round.
    pub(crate) fn is_transposed(&self) -> bool {
        matches!(
            self,
            Self::TransposedOneAxis(_) | Self::TransposedTwoAxes(_)
        )
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
            Self::TransposedOneAxis(op) => {
                B::conv_transpose1d(x, weight, bias, op.options.clone().into())
            }
            Self::TransposedTwoAxes(op) => {
                B::conv_transpose2d(x, weight, bias, op.options.clone().into())
            }
        }
    }

    /// The patches under the kernel: of the input, or of the output of a transposed one.
    pub(crate) fn unfolding(&self) -> Unfolding {
        let at_positions = if self.is_transposed() {
            self.input()
        } else {
            self.out()
        };
        let padding = self.padding();
        let axes = self.weight().shape[2..].iter().enumerate();
        let axes = axes.map(|(axis, &kernel)| KernelAxis {
            kernel,
            stride: field!(self, op => op.options.stride[axis]),
            padding: padding[axis],
            dilation: field!(self, op => op.options.dilation[axis]),
            positions: at_positions.shape[axis + 2],
        });
        Unfolding {
            axes: axes.collect(),
            groups: self.groups(),
        }
    }

    /// The numbers in the [patches](Unfolding::patches) of the input, and in the slices that they
    /// are joined of; none of a transposed one, whose inputs lie at the positions of the kernel as
    /// they are.
    pub(crate) fn patch_scalars(&self) -> usize {
        if self.is_transposed() {
            return 0;
        }
        let (input, kernel) = (&self.input().shape, &self.weight().shape[2..]);
        let positions = self.out().shape[2..].iter().product::<usize>();
        2 * input[0] * input[1] * kernel.iter().product::<usize>() * positions
    }

    fn padding(&self) -> Vec<(usize, usize)> {
        let both = |padding: &[usize]| padding.iter().map(|&side| (side, side)).collect();
        match self {
            Self::OneAxis(op) => op.options.padding.to_vec(),
            Self::TwoAxes(op) => op.options.padding.to_vec(),
            Self::TransposedOneAxis(op) => both(&op.options.padding),
            Self::TransposedTwoAxes(op) => both(&op.options.padding),
        }
    }
}

/// Where the patches under the kernel of a convolution lie.
pub(crate) struct Unfolding {
    axes: Vec<KernelAxis>,
    pub(crate) groups: usize,
}

impl Unfolding {
    /// The patches, `(n, groups, positions, channels / groups · kernel)`: a convolution is their
    /// product with the weight, whose rows are flattened in the same order.
    pub(crate) fn patches<B: Backend>(&self, x: FloatTensor<B>) -> FloatTensor<B> {
        let axes = &self.axes;
        let mut padding = vec![(0, 0), (0, 0)];
        padding.extend(axes.iter().map(|axis| axis.padding));
        let x = B::float_pad(x, &padding, PadMode::Constant(0.0));
        let (n, channels, groups) = (x.shape()[0], x.shape()[1], self.groups);
        let positions = self.positions();
        let kernel: usize = axes.iter().map(|axis| axis.kernel).product();
        let shifted = (0..kernel).map(|entry| {
            let patch = B::float_slice(x.clone(), &slices(axes, entry, n, channels));
            B::float_reshape(patch, Shape::new([n, channels, 1, positions]))
        });
        let patches = B::float_cat(shifted.collect(), 2);
        let patches = B::float_reshape(
            patches,
            Shape::new([n, groups, channels / groups * kernel, positions]),
        );
        B::float_swap_dims(patches, 2, 3)
    }

    /// What lies at the positions of the kernel, `(n, channels, …)`, as
    /// `(n, groups, positions, channels / groups)`.
    pub(crate) fn at_positions<B: Backend>(&self, x: FloatTensor<B>) -> FloatTensor<B> {
        let (n, channels, groups) = (x.shape()[0], x.shape()[1], self.groups);
        let shape = Shape::new([n, groups, channels / groups, self.positions()]);
        B::float_swap_dims(B::float_reshape(x, shape), 2, 3)
    }

    fn positions(&self) -> usize {
        self.axes.iter().map(|axis| axis.positions).product()
    }
}

/// Where one entry of the kernel (row-major) meets the padded input.
fn slices(axes: &[KernelAxis], entry: usize, samples: usize, channels: usize) -> Vec<Slice> {
    let mut rest = entry;
    let mut spatial = Vec::with_capacity(axes.len());
    for axis in axes.iter().rev() {
        let start = rest % axis.kernel * axis.dilation;
        rest /= axis.kernel;
        let end = start + (axis.positions - 1) * axis.stride + 1;
        spatial.push(Slice::with_step(
            start.cast_signed(),
            Some(end.cast_signed()),
            axis.stride.cast_signed(),
        ));
    }
    spatial.reverse();
    [Slice::from(0..samples), Slice::from(0..channels)]
        .into_iter()
        .chain(spatial)
        .collect()
}
