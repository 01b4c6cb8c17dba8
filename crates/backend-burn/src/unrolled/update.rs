//! Steps of optimisers, as burn takes them, and their derivatives.

use burn::tensor::Tensor;

/// How a step follows from its gradient `g`, the weight decay included; the same operations as
/// those of burn's optimisers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum UpdateRule {
    /// Gradient descent with momentum: `v' = μ v + g`, `θ' = θ − η v'`.
    Sgd {
        /// `μ`; 0 for none.
        momentum: f32,
    },
    /// Adam: `m' = β₁ m + (1 − β₁) g`, `v' = β₂ v + (1 − β₂) g²`, and
    /// `θ' = θ − η (m' / (1 − β₁ᵗ)) / (√(v' / (1 − β₂ᵗ)) + ε)`.
    ///
    /// Kingma and Ba, *Adam: a method for stochastic optimization*, 2015.
    Adam {
        /// `β₁`.
        beta_1: f32,
        /// `β₂`.
        beta_2: f32,
        /// `ε`.
        epsilon: f32,
    },
}

/// The parameters and what the optimiser remembers, before a step.
#[derive(Debug, Clone)]
pub(super) struct StepState {
    /// `θ`, `(dim)`.
    pub(super) parameters: Tensor<1>,
    /// `v`, or `m` and `v`, `(dim)` each.
    pub(super) moments: Vec<Tensor<1>>,
}

/// The derivatives of `k` measurements by a [`StepState`].
#[derive(Debug, Clone)]
pub(super) struct Adjoints {
    /// `(k, dim)`.
    pub(super) parameters: Tensor<2>,
    /// `(k, dim)` each.
    pub(super) moments: Vec<Tensor<2>>,
}

impl UpdateRule {
    /// Adam with the numbers that are burn's defaults.
    pub const ADAM: Self = Self::Adam {
        beta_1: 0.9,
        beta_2: 0.999,
        epsilon: 1e-5,
    };

    /// How many vectors the optimiser remembers.
    pub(super) fn moments(self) -> usize {
        match self {
            Self::Sgd { momentum } => usize::from(momentum > 0.0),
            Self::Adam { .. } => 2,
        }
    }

    /// Whether the derivative of a step depends on its gradient.
    pub(super) fn needs_gradient(self) -> bool {
        matches!(self, Self::Adam { .. })
    }

    /// The state before the first step.
    pub(super) fn begin(self, parameters: Tensor<1>) -> StepState {
        StepState {
            moments: vec![parameters.zeros_like(); self.moments()],
            parameters,
        }
    }

    /// The adjoints of measurements with these gradients, after the last step.
    pub(super) fn adjoints(self, gradients: Tensor<2>) -> Adjoints {
        Adjoints {
            moments: vec![gradients.zeros_like(); self.moments()],
            parameters: gradients,
        }
    }

    /// The state after a step, the `time`-th, counted from 1.
    pub(super) fn step(
        self,
        state: StepState,
        gradient: Tensor<1>,
        rate: f64,
        time: usize,
    ) -> StepState {
        let moments = self.remembered(&state, gradient.clone());
        let direction = match (self, &moments[..]) {
            (
                Self::Adam {
                    beta_1,
                    beta_2,
                    epsilon,
                },
                [first, second],
            ) => {
                let Correction { scale, shift } = Correction::new(beta_1, beta_2, epsilon, time);
                let length = second.clone().sqrt().add_scalar(shift);
                first.clone().mul_scalar(scale).div(length)
            }
            (_, [velocity, ..]) => velocity.clone(),
            (_, []) => gradient,
        };
        StepState {
            parameters: state.parameters - direction.mul_scalar(rate),
            moments,
        }
    }

    /// What the optimiser remembers after a step.
    fn remembered(self, state: &StepState, gradient: Tensor<1>) -> Vec<Tensor<1>> {
        match (self, &state.moments[..]) {
            (Self::Sgd { momentum }, [velocity]) => {
                vec![gradient + velocity.clone().mul_scalar(momentum)]
            }
            (Self::Adam { beta_1, beta_2, .. }, [first, second]) => vec![
                first.clone().mul_scalar(beta_1) + gradient.clone().mul_scalar(1.0 - beta_1),
                second.clone().mul_scalar(beta_2) + gradient.square().mul_scalar(1.0 - beta_2),
            ],
            _ => Vec::new(),
        }
    }

    /// Undoes a step but for what its gradient owes to the parameters: the adjoints become those of
    /// the state before it, and the derivative by the gradient, `(k, dim)`, is returned. The
    /// gradient itself is there if it is [needed](Self::needs_gradient).
    pub(super) fn back(
        self,
        adjoints: &mut Adjoints,
        (state, gradient): (&StepState, Option<Tensor<1>>),
        rate: f64,
        time: usize,
    ) -> Tensor<2> {
        let stepped = adjoints.parameters.clone().mul_scalar(-rate);
        let moments = std::mem::take(&mut adjoints.moments);
        match (self, &moments[..], gradient) {
            (Self::Sgd { momentum }, [velocity], _) => {
                let by_gradient = velocity.clone() + stepped;
                adjoints.moments = vec![by_gradient.clone().mul_scalar(momentum)];
                by_gradient
            }
            (
                Self::Adam {
                    beta_1,
                    beta_2,
                    epsilon,
                },
                [first, second],
                Some(gradient),
            ) => {
                let after = self.remembered(state, gradient.clone());
                let correction = Correction::new(beta_1, beta_2, epsilon, time);
                let [by_first, by_second] = correction.derivatives(&after);
                let first = first.clone() + stepped.clone() * by_first;
                let second = second.clone() + stepped * by_second;
                let slope = gradient.mul_scalar(2.0).unsqueeze();
                let by_gradient = first.clone().mul_scalar(1.0 - beta_1)
                    + second.clone().mul_scalar(1.0 - beta_2) * slope;
                adjoints.moments = vec![first.mul_scalar(beta_1), second.mul_scalar(beta_2)];
                by_gradient
            }
            _ => stepped,
        }
    }
}

/// The bias correction of Adam, in the form in which burn computes it: the direction is
/// `scale · m' / (√v' + shift)`.
struct Correction {
    scale: f32,
    shift: f32,
}

impl Correction {
    fn new(beta_1: f32, beta_2: f32, epsilon: f32, time: usize) -> Self {
        let time = i32::try_from(time).unwrap_or(i32::MAX);
        let root = (1.0 - beta_2.powi(time)).sqrt();
        Self {
            scale: root / (1.0 - beta_1.powi(time)),
            shift: epsilon * root,
        }
    }

    /// The derivatives of the direction by both moments, `(1, dim)` each.
    ///
    /// Where `v'` is zero, so have been all gradients. There the direction is
    /// `scale · m' / (|g| √(1 − β₂) + shift)` with `m'` of the order of `g`, and its derivative by
    /// `v'` adds nothing.
    fn derivatives(&self, moments: &[Tensor<1>]) -> [Tensor<2>; 2] {
        let [first, second] = [&moments[0], &moments[1]];
        let root = second.clone().sqrt();
        let nothing = root.clone().equal_elem(0.0);
        let length = root.clone().add_scalar(self.shift);
        // |m'| is at most a few times √v', so the ratio overflows nowhere.
        let ratio = (first.clone() / root).mask_fill(nothing, 0.0);
        let by_first = length.clone().recip().mul_scalar(self.scale);
        let by_second = (ratio / length.square()).mul_scalar(-0.5 * self.scale);
        [by_first.unsqueeze(), by_second.unsqueeze()]
    }
}
