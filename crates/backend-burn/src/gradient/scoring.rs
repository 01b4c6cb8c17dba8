//! Inner products of gradients, each pair of forms by what costs least.

use burn::tensor::Tensor;
use influence_core::ScoringFootprint;

use super::form::{Form, positions};

/// What an operation on a scalar costs beside one of a matrix product, moving it included: kernels of matrix products reach the peak of the
/// machine, sums and products of tensors its memory.
const ELEMENTWISE: f64 = 16.0;

/// Scalars of an intermediate result: few enough to stay in a cache.
pub(super) const CACHED: usize = 1 << 20;

impl Form {
    /// Whether inner products of so many others with so many of these cost less if they are formed of the factors of outer products, and of the
    /// bases of combinations, than of rows; so they do not if some are of another form or of other sides, or there are none.
    pub(super) fn prefers_factors(&self, others: &[&Self], counts: [usize; 2]) -> bool {
        let costs = others.iter().map(|other| self.cost(other, counts));
        let costs: Option<Vec<Cost>> = costs.collect();
        let Some(costs) = costs.filter(|costs| !costs.is_empty()) else {
            return false;
        };
        // Rows of several forms are added up, and multiplied once.
        let of_factors: f64 = costs.iter().map(|cost| cost.of_factors).sum();
        let making_rows: f64 = costs.iter().map(|cost| cost.making_rows).sum();
        of_factors < making_rows + costs[0].of_rows
    }

    fn cost(&self, other: &Self, [k, n]: [usize; 2]) -> Option<Cost> {
        let own = Factors::of(self)?;
        let [_, g, t] = own.counts();
        let [l, r] = own.sides();
        let (pairs, whole) = ((k * n) as f64, (g * l * r) as f64);
        let multiplied_out = |samples: usize, positions: usize| {
            let gemm = if positions == 1 { 0 } else { 2 * positions };
            samples as f64 * whole * (gemm as f64 + ELEMENTWISE)
        };
        let of_rows = |k: usize| {
            let pairs = (k * n) as f64;
            let beside = match self.thin_pair(k) {
                Some(_) => pairs * (g * l.min(r)) as f64 * ELEMENTWISE,
                None => multiplied_out(n, t),
            };
            2.0 * pairs * whole + beside
        };
        if let Self::Combination { basis, .. } = other {
            let rank = basis.dims()[0];
            return Some(Cost {
                of_factors: of_rows(rank) + pairs * (2.0 * rank as f64 + ELEMENTWISE),
                making_rows: 2.0 * (k * rank) as f64 * whole,
                of_rows: of_rows(k),
            });
        }
        let other = Factors::of(other)?;
        let [_, groups, u] = other.counts();
        if groups != g || other.sides() != [l, r] {
            return None;
        }
        Some(Cost {
            of_factors: pairs * (g * t * u) as f64 * (2.0 * (l + r) as f64 + ELEMENTWISE),
            making_rows: multiplied_out(k, u),
            of_rows: of_rows(k),
        })
    }

    /// The inner products with others of the same sides, `(k, n)`: `Σ_tu ⟨left_t, left_u⟩ ⟨right_t, right_u⟩`, if both are outer products; with
    /// combinations those with their basis, combined.
    pub(crate) fn products(&self, others: &Self) -> Option<Tensor<2>> {
        if let Self::Combination { weights, basis } = others {
            return Some(weights.clone().matmul(self.scores(basis.clone())));
        }
        let (own, others) = (Factors::of(self)?, Factors::of(others)?);
        let ([n, g, t], [k, _, u]) = (own.counts(), others.counts());
        let pairs = (CACHED / (g * t * u).max(1)).max(1);
        let columns = pairs.min(n).max(1);
        let own: Vec<Factors> = own.pieces(columns).collect();
        let others = others.pieces((pairs / columns).clamp(1, k.max(1)));
        let strips = others.map(|others| {
            let tiles = own.iter().map(|own| own.products(&others));
            joined(tiles.collect(), 1)
        });
        Some(joined(strips.collect(), 0))
    }

    /// As [`products`](Self::products), each with its counterpart, `(n)`.
    pub(crate) fn self_products(&self, others: &Self) -> Option<Tensor<1>> {
        if let Self::Combination { weights, basis } = others {
            let products = self.scores(basis.clone()).transpose() * weights.clone();
            return Some(products.sum_dim(1).squeeze_dim(1));
        }
        let (own, others) = (Factors::of(self)?, Factors::of(others)?);
        let ([n, g, t], [_, _, u]) = (own.counts(), others.counts());
        let inner = |own: Tensor<4>, other: Tensor<4>| other.matmul(own.swap_dims(2, 3));
        let products = inner(own.left, others.left) * inner(own.right, others.right);
        Some(products.reshape([n, g * t * u]).sum_dim(1).reshape([n]))
    }

    /// The inner products with rows `(k, p)`, `(k, n)`.
    pub(super) fn scores(&self, rows: Tensor<2>) -> Tensor<2> {
        let k = rows.dims()[0];
        if let Some(pair) = self.thin_pair(k) {
            return pair.scores(&rows);
        }
        match self {
            Self::Lookup {
                indices,
                signals,
                entries,
            } => {
                let [n, t, width] = signals.dims();
                let rows = rows
                    .reshape([k, *entries, width])
                    .select(1, indices.clone().reshape([n * t]));
                let products = rows * signals.clone().reshape([1, n * t, width]);
                products
                    .sum_dim(2)
                    .reshape([k, n, t])
                    .sum_dim(2)
                    .reshape([k, n])
            }
            _ => rows.matmul(self.to_rows().transpose()),
        }
    }

    pub(super) fn self_scores(&self, rows: Tensor<2>) -> Tensor<1> {
        let n = rows.dims()[0];
        let products: Tensor<2> = match self {
            Self::Rows(_) | Self::Combination { .. } => rows * self.to_rows(),
            Self::Outer { left, right, .. } => {
                let ([_, g, t, l], r) = (left.dims(), right.dims()[3]);
                let contracted = left.clone().matmul(rows.reshape([n, g, l, r]));
                (contracted * right.clone()).reshape([n, g * t * r])
            }
            Self::Lookup {
                indices,
                signals,
                entries,
            } => {
                let [_, t, width] = signals.dims();
                let rows = rows.reshape([n * entries, width]);
                let read = rows.select(0, positions(indices, *entries));
                let read = read.reshape([n, t, width]);
                (read * signals.clone()).reshape([n, t * width])
            }
        };
        products.sum_dim(1).reshape([n])
    }

    /// What a score of these forms takes, with so many of either side.
    pub(super) fn scoring(&self, others: &[&Self], counts: [usize; 2]) -> Scoring {
        let scalars = |per_test, per_train, per_pair| ScoringFootprint {
            per_test,
            per_train,
            per_pair,
        };
        if self.prefers_factors(others, counts) {
            let costs = others.iter().filter_map(|other| self.cost(other, counts));
            let pairs = counts.iter().product::<usize>() as f64;
            let terms = |other: &&Self| Factors::of(other).map_or(1, |factors| factors.counts()[2]);
            return Scoring {
                of_factors: true,
                // The factors of a sample are smaller than the products of its terms.
                scalars: scalars(0, 0, 3 * others.iter().map(terms).sum::<usize>()),
                flops: costs.map(|cost| cost.of_factors).sum::<f64>() / pairs,
            };
        }
        let flops = 2.0 * self.width() as f64;
        let scalars = match self {
            Self::Rows(_) | Self::Combination { .. } => scalars(0, 0, 1),
            Self::Outer { left, right, .. } => {
                let ([_, g, t, l], r) = (left.dims(), right.dims()[3]);
                let (whole, thin) = (g * l * r, g * l.min(r));
                // Where products are multiplied out they take no more than the pairs would: that is when it is done.
                let single = t == 1;
                scalars(
                    2 * whole,
                    if single { 0 } else { 2 * whole },
                    if single { 2 * thin } else { 1 },
                )
            }
            Self::Lookup {
                signals, entries, ..
            } => {
                let [_, t, width] = signals.dims();
                scalars(entries * width, 0, 2 * t * width)
            }
        };
        Scoring {
            of_factors: false,
            scalars,
            flops,
        }
    }
}

/// How a score is formed, and what it takes: scalars in use, and operations.
pub(crate) struct Scoring {
    pub(crate) of_factors: bool,
    pub(super) scalars: ScoringFootprint,
    pub(crate) flops: f64,
}

/// The operations of inner products of outer products.
struct Cost {
    of_factors: f64,
    /// Multiplying the others out.
    making_rows: f64,
    /// Products with those rows.
    of_rows: f64,
}

/// The factors of outer products, `(n, g, t, side)`.
struct Factors {
    left: Tensor<4>,
    right: Tensor<4>,
}

impl Factors {
    fn of(form: &Form) -> Option<Self> {
        match form {
            Form::Outer { left, right, .. } => Some(Self {
                left: left.clone(),
                right: right.clone(),
            }),
            Form::Rows(_) | Form::Lookup { .. } | Form::Combination { .. } => None,
        }
    }

    /// Samples, groups and positions.
    fn counts(&self) -> [usize; 3] {
        let [n, g, t, _] = self.left.dims();
        [n, g, t]
    }

    fn sides(&self) -> [usize; 2] {
        [&self.left, &self.right].map(|side| side.dims()[3])
    }

    /// The factors of so many samples at a time; at least one piece.
    fn pieces(&self, size: usize) -> impl Iterator<Item = Self> {
        let n = self.counts()[0];
        (0..n.max(1)).step_by(size).map(move |first| {
            let samples = first..(first + size).min(n);
            let of = |side: &Tensor<4>| {
                let [_, g, t, d] = side.dims();
                side.clone().slice([samples.clone(), 0..g, 0..t, 0..d])
            };
            Self {
                left: of(&self.left),
                right: of(&self.right),
            }
        })
    }

    fn products(&self, others: &Self) -> Tensor<2> {
        let ([n, g, t], [k, _, u]) = (self.counts(), others.counts());
        let flat = |side: &Tensor<4>| {
            let [n, g, t, d] = side.dims();
            side.clone().swap_dims(0, 1).reshape([g, n * t, d])
        };
        let inner = |own, others| flat(others).matmul(flat(own).swap_dims(1, 2));
        let products = inner(&self.left, &others.left) * inner(&self.right, &others.right);
        let products = products.reshape([g, k, u, n * t]);
        // A sum over a single entry would copy.
        let over: Vec<isize> = [(0, g), (2, u)]
            .into_iter()
            .filter_map(|(axis, length)| (length > 1).then_some(axis))
            .collect();
        let products = match over.as_slice() {
            [] => products,
            axes => products.sum_dims(axes),
        };
        match t {
            1 => products.reshape([k, n]),
            _ => products.reshape([k, n, t]).sum_dim(2).reshape([k, n]),
        }
    }
}

/// Pieces side by side, without a copy of a single one.
pub(super) fn joined(mut pieces: Vec<Tensor<2>>, axis: usize) -> Tensor<2> {
    match pieces.len() {
        1 => pieces.swap_remove(0),
        _ => Tensor::cat(pieces, axis),
    }
}
