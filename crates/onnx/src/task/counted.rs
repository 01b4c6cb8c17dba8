//! Means over the parts of a sample that count.

use burn::tensor::{Bool, Tensor};

/// Which of the positions or outputs of each sample count.
pub(super) struct Counted(Option<Tensor<2>>);

impl Counted {
    /// All of them.
    pub(super) fn all() -> Self {
        Self(None)
    }

    /// All but those where this is true, `(n, t)`.
    pub(super) fn except(ignored: Tensor<2, Bool>) -> Self {
        Self(Some(ignored.bool_not().float()))
    }

    /// The mean of those of `values (n, t)` that count, `(n)`; 0 where none does.
    pub(super) fn mean(&self, values: Tensor<2>) -> Tensor<1> {
        summed(values, self.shares(None))
    }

    /// By what each of the numbers of a sample is multiplied in their sum to give the mean over
    /// those that count, `(n, t)`; `None` for `1/t`. With weights `(n, t)`, the sum is divided by
    /// that of the weights of what counts, and not by its number.
    pub(super) fn shares(&self, weights: Option<Tensor<2>>) -> Option<Tensor<2>> {
        let (counted, weights) = match (self.0.clone(), weights) {
            (None, None) => return None,
            (None, Some(weights)) => (weights.ones_like(), weights),
            (Some(counted), None) => (counted.clone(), counted),
            (Some(counted), Some(weights)) => (counted.clone(), weights * counted),
        };
        let total = weights.sum_dim(1);
        let nothing = total.clone().equal_elem(0.0);
        Some(counted / total.mask_fill(nothing, 1.0))
    }
}

/// The sum of each sample's `values (n, t)` times their shares, `(n)`.
pub(super) fn summed(values: Tensor<2>, shares: Option<Tensor<2>>) -> Tensor<1> {
    let sum = match shares {
        None => values.mean_dim(1),
        Some(shares) => (values * shares).sum_dim(1),
    };
    sum.squeeze_dim(1)
}
