//! Steps along gradients, by the formulas of burn's optimisers.

use super::HostMlp;

/// The constants of burn's Adam.
const BETAS: [f32; 2] = [0.9, 0.999];
const EPSILON: f32 = 1e-5;

/// How a step follows from a gradient and the steps before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StepRule {
    /// Stochastic gradient descent: the step is the gradient, and `momentum` of the last step.
    Sgd {
        /// From 0 to below 1.
        momentum: f32,
    },
    /// Adam (Kingma and Ba 2015), with the constants of burn: β = (0.9, 0.999), ε = 1e-5.
    Adam,
}

/// The steps of a training on the host: what its rule remembers of them.
#[derive(Debug, Clone)]
pub struct HostSteps {
    rule: StepRule,
    weight_decay: f32,
    taken: i32,
    /// Of each parameter: the velocity of momentum, or the two moments of Adam.
    moments: Vec<[Vec<f32>; 2]>,
}

impl HostSteps {
    /// Before the first step; `weight_decay` times each weight is added to its gradient.
    pub fn new(rule: StepRule, weight_decay: f32) -> Self {
        Self {
            rule,
            weight_decay,
            taken: 0,
            moments: Vec::new(),
        }
    }

    /// Takes a step of this length along the gradient that the network holds.
    #[expect(clippy::cast_possible_truncation, reason = "the weights have 32 bits")]
    pub fn take(&mut self, network: &mut HostMlp, rate: f64) {
        self.taken += 1;
        let (rate, decay) = (rate as f32, self.weight_decay);
        let (rule, taken, moments) = (self.rule, self.taken, &mut self.moments);
        network.update(|index, values, gradient| {
            if moments.len() == index {
                moments.push([(); 2].map(|()| vec![0.0; values.len()]));
            }
            let [first, second] = &mut moments[index];
            match rule {
                StepRule::Sgd { momentum } => sgd(values, gradient, first, [rate, decay, momentum]),
                StepRule::Adam => adam(values, gradient, [first, second], ([rate, decay], taken)),
            }
        });
    }
}

fn sgd(values: &mut [f32], gradient: &[f32], velocity: &mut [f32], of: [f32; 3]) {
    let [rate, decay, momentum] = of;
    for ((value, gradient), velocity) in values.iter_mut().zip(gradient).zip(velocity) {
        *velocity = decay * *value + gradient + momentum * *velocity;
        *value -= rate * *velocity;
    }
}

fn adam(
    values: &mut [f32],
    gradient: &[f32],
    [first, second]: [&mut [f32]; 2],
    ([rate, decay], taken): ([f32; 2], i32),
) {
    let [less, fewer] = BETAS.map(|beta| 1.0 - beta.powi(taken));
    let (scale, epsilon) = (fewer.sqrt() / less, EPSILON * fewer.sqrt());
    let moments = first.iter_mut().zip(second);
    for ((value, gradient), (first, second)) in values.iter_mut().zip(gradient).zip(moments) {
        let gradient = decay * *value + gradient;
        *first = BETAS[0] * *first + (1.0 - BETAS[0]) * gradient;
        *second = BETAS[1] * *second + (1.0 - BETAS[1]) * gradient * gradient;
        *value -= rate * (scale * *first / (second.sqrt() + epsilon));
    }
}
