//! Inner products of gradients: for each pair of forms the way that costs least.
//!
//! A score is the inner product of a factor of a test point and a gradient of a train point. For
//! the weight of a linear map both may be sums of outer products over positions, `Σ_u a'_u ⊗ δ'_u`
//! and `Σ_t a_t ⊗ δ_t` with sides of `l` and `r` numbers. Two ways lead to the `k n` scores.
//!
//! *Through the factors*, without ever forming a matrix of `l r` numbers:
//!
//! ```text
//! ⟨Σ_u a'_u ⊗ δ'_u, Σ_t a_t ⊗ δ_t⟩ = Σ_ut ⟨a'_u, a_t⟩ ⟨δ'_u, δ_t⟩
//! ```
//!
//! two matrix products, of shapes `(k u, l) · (l, n t)` and `(k u, r) · (r, n t)`, one product of
//! their entries and a sum: `2 (l + r)` operations for each pair of samples and of positions.
//!
//! *Through rows*: the `k` others are multiplied out to rows `(k, l r)`. Then each position is
//! contracted with its wider side first and its thinner one after
//! ([`ThinPair`](super::thin_pair::ThinPair)), `2 t l r` operations for each pair of samples; or
//! the positions are multiplied out too, and matrix products `(k, l r) · (l r, n)` give the scores,
//! `2 l r` operations for each pair, and those of writing `l r` numbers for each sample. A single
//! position is contracted, and so are several with few others
//! ([`contracts`](GradientForm::contracts)).
//!
//! So factors win with few positions, rows with many: about where `t u (l + r)` passes `l r`. The
//! exact place depends on the machine. Matrix products run at its peak, products and sums of
//! entries at the speed of its memory, hence an operation of the latter kind is counted as
//! [`ELEMENTWISE`] of the former. The decision depends on shapes alone, never on values or timings:
//! the same inputs give the same bits in every run.
//!
//! Combinations `w B` of a shared basis `B (rank, l r)` are scored against the basis, once for all
//! of them, and combined: `⟨w B, g⟩ = w ⟨B, g⟩`. The products `⟨B, g⟩` may be there already
//! ([`basis`](super::basis)).
//!
//! Work is cut into tiles by the size of their intermediate results, which depends on the device.

use burn::tensor::Tensor;
use influence_core::ScoringFootprint;

use super::{
    ParameterGradient,
    form::{GradientForm, positions},
};
use crate::{device::piece_sizes, product::Product as _, tensors::joined};

/// Cost of an elementwise operation relative to one of a matrix product, memory traffic included:
/// matrix products reach the peak of the machine, elementwise operations wait for its memory.
pub(super) const ELEMENTWISE: f64 = 16.0;
/// The same of a number to which several positions are multiplied out: it is zeroed, written, and
/// packed for the next product. Measured from 4 to 64 positions.
pub(super) const WRITTEN: f64 = 192.0;

impl ParameterGradient {
    /// Whether scoring through outer-product factors, and through the bases of combinations, is
    /// cheaper than through dense rows for `[k, n]` others and samples; false for mixed forms, for
    /// other sides, and without any others.
    pub(super) fn prefers_factors(&self, others: &[&GradientForm], counts: [usize; 2]) -> bool {
        let costs = others.iter().map(|other| self.cost(other, counts));
        let costs: Option<Vec<Cost>> = costs.collect();
        let Some(costs) = costs.filter(|costs| !costs.is_empty()) else {
            return false;
        };
        // Rows of several forms are added up first, so that their products cost as much as one.
        let of_factors = costs.iter().map(|cost| cost.of_factors + cost.beforehand);
        let of_factors: f64 = of_factors.sum();
        let making_rows: f64 = costs.iter().map(|cost| cost.making_rows).sum();
        of_factors < making_rows + costs[0].of_rows
    }

    /// The operations of scores with another form, if both ways exist.
    fn cost(&self, other: &GradientForm, [k, n]: [usize; 2]) -> Option<Cost> {
        let own = OuterFactors::of(&self.form)?;
        let [_, g, t] = own.counts();
        let [l, r] = own.sides();
        let (pairs, whole) = ((k * n) as f64, (g * l * r) as f64);
        // An outer product at one position is an elementwise product; several positions are a
        // matrix product, whose result still has to be written.
        let multiplied_out = |samples: usize, positions: usize| {
            let of_number = match positions {
                1 => ELEMENTWISE,
                _ => 2.0 * positions as f64 + WRITTEN,
            };
            samples as f64 * whole * of_number
        };
        let of_rows = |k: usize| {
            let pairs = (k * n) as f64;
            if self.form.contracts(k) {
                return pairs * t as f64 * (2.0 * whole + (g * l.min(r)) as f64 * ELEMENTWISE);
            }
            2.0 * pairs * whole + multiplied_out(n, t)
        };
        if let GradientForm::Combination { basis, .. } = other {
            let rank = basis.rank();
            return Some(Cost {
                of_factors: pairs * (2.0 * rank as f64 + ELEMENTWISE),
                beforehand: of_rows(rank),
                making_rows: 2.0 * (k * rank) as f64 * whole,
                of_rows: of_rows(k),
            });
        }
        let other = OuterFactors::of(other)?;
        let [_, groups, u] = other.counts();
        if groups != g || other.sides() != [l, r] {
            return None;
        }
        Some(Cost {
            of_factors: pairs * (g * t * u) as f64 * (2.0 * (l + r) as f64 + ELEMENTWISE),
            beforehand: 0.0,
            making_rows: multiplied_out(k, u),
            of_rows: of_rows(k),
        })
    }

    /// The inner products with others through the factors of both, and through the bases of
    /// combinations, `(k, n)`; `None` for other forms.
    pub(super) fn products(&self, others: &GradientForm) -> Option<Tensor<2>> {
        match others {
            GradientForm::Combination { weights, basis } => {
                Some(weights.clone().product(self.along(basis)))
            }
            _ => self.form.products(others),
        }
    }

    /// The same as [`products`](Self::products), each with its counterpart, `(n)`.
    pub(super) fn self_products(&self, others: &GradientForm) -> Option<Tensor<1>> {
        match others {
            GradientForm::Combination { weights, basis } => {
                let products = self.along(basis).transpose() * weights.clone();
                Some(products.sum_dim(1).squeeze_dim(1))
            }
            _ => self.form.self_products(others),
        }
    }

    /// What a score of these forms takes, for `[k, n]` others and samples.
    pub(super) fn scoring(&self, others: &[&GradientForm], counts: [usize; 2]) -> Scoring {
        let scalars = |per_test, per_train, per_pair| ScoringFootprint {
            per_test,
            per_train,
            per_pair,
        };
        if self.prefers_factors(others, counts) {
            let costs = others.iter().filter_map(|other| self.cost(other, counts));
            let pairs = counts.iter().product::<usize>() as f64;
            let terms = |other: &&GradientForm| {
                OuterFactors::of(other).map_or(1, |factors| factors.counts()[2])
            };
            return Scoring {
                of_factors: true,
                // The factors of a sample are smaller than the products of its terms.
                scalars: scalars(0, 0, 3 * others.iter().map(terms).sum::<usize>()),
                flops: costs.map(|cost| cost.of_factors).sum::<f64>() / pairs,
            };
        }
        let flops = 2.0 * self.form.width() as f64;
        let scalars = match &self.form {
            GradientForm::Rows(_) | GradientForm::Combination { .. } => scalars(0, 0, 1),
            GradientForm::Outer { left, right, .. } => {
                let ([_, g, t, l], r) = (left.dims(), right.dims()[3]);
                let (whole, thin) = (g * l * r, g * l.min(r));
                // Multiplied out at a single position they take no more than the pairs would: that
                // is when it is done. Several are multiplied out piece by piece.
                scalars(2 * whole, 0, if t == 1 { 2 * thin } else { 1 })
            }
            GradientForm::Embedding {
                output_gradients,
                entries,
                ..
            } => {
                let [_, t, width] = output_gradients.dims();
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

impl GradientForm {
    /// The inner products with others of the same sides through their factors, `(k, n)`; `None`
    /// unless both are outer products.
    pub(crate) fn products(&self, others: &Self) -> Option<Tensor<2>> {
        let (own, others) = (OuterFactors::of(self)?, OuterFactors::of(others)?);
        let ([n, g, t], [k, _, u]) = (own.counts(), others.counts());
        // Tiles of as many pairs of samples as keep `g t u` products for each of them in a cache:
        // first as many columns as possible, then as many rows as still fit.
        let pairs = (piece_sizes(&own.left.device()).scalars / (g * t * u).max(1)).max(1);
        let columns = pairs.min(n).max(1);
        let own: Vec<OuterFactors> = own.pieces(columns).collect();
        let others = others.pieces((pairs / columns).clamp(1, k.max(1)));
        let strips = others.map(|others| {
            let tiles = own.iter().map(|own| own.products(&others));
            joined(tiles.collect(), 1)
        });
        Some(joined(strips.collect(), 0))
    }

    /// The same as [`products`](Self::products), each with its counterpart, `(n)`.
    pub(crate) fn self_products(&self, others: &Self) -> Option<Tensor<1>> {
        let (own, others) = (OuterFactors::of(self)?, OuterFactors::of(others)?);
        let ([n, g, t], [_, _, u]) = (own.counts(), others.counts());
        let inner = |own: Tensor<4>, other: Tensor<4>| other.product(own.swap_dims(2, 3));
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
            Self::Embedding {
                indices,
                output_gradients,
                entries,
            } => {
                let [n, t, width] = output_gradients.dims();
                let rows = rows
                    .reshape([k, *entries, width])
                    .select(1, indices.clone().reshape([n * t]));
                let products = rows * output_gradients.clone().reshape([1, n * t, width]);
                products
                    .sum_dim(2)
                    .reshape([k, n, t])
                    .sum_dim(2)
                    .reshape([k, n])
            }
            Self::Rows(_) | Self::Outer { .. } | Self::Combination { .. } => {
                let pieces = self.row_pieces().into_iter();
                let products = pieces.map(|(columns, piece)| {
                    let rows = rows.clone().slice([0..k, columns]);
                    rows.product(piece.to_rows().transpose())
                });
                let sum = products.reduce(|sum, products| sum + products);
                sum.unwrap_or_else(|| Tensor::zeros([k, 0], (&rows.device(), rows.dtype())))
            }
        }
    }

    /// The inner product of each gradient with the row of its own sample `(n, p)`, `(n)`.
    pub(super) fn self_scores(&self, rows: Tensor<2>) -> Tensor<1> {
        let n = rows.dims()[0];
        let products: Tensor<2> = match self {
            Self::Rows(_) | Self::Combination { .. } => rows * self.to_rows(),
            Self::Outer { left, right, .. } => {
                let ([_, g, t, l], r) = (left.dims(), right.dims()[3]);
                let contracted = left.clone().product(rows.reshape([n, g, l, r]));
                (contracted * right.clone()).reshape([n, g * t * r])
            }
            Self::Embedding {
                indices,
                output_gradients,
                entries,
            } => {
                let [_, t, width] = output_gradients.dims();
                let rows = rows.reshape([n * entries, width]);
                let read = rows.select(0, positions(indices, *entries));
                let read = read.reshape([n, t, width]);
                (read * output_gradients.clone()).reshape([n, t * width])
            }
        };
        products.sum_dim(1).reshape([n])
    }
}

/// How a score is formed, with the scalars in use and the operations it takes.
pub(crate) struct Scoring {
    pub(crate) of_factors: bool,
    pub(super) scalars: ScoringFootprint,
    pub(crate) flops: f64,
}

/// The operations of inner products of outer products.
struct Cost {
    of_factors: f64,
    /// Products with a basis, made once for all chunks of factors.
    beforehand: f64,
    /// Multiplying the others out to rows.
    making_rows: f64,
    /// Products with those rows.
    of_rows: f64,
}

/// The two factors of outer products, `(n, g, t, side)`.
struct OuterFactors {
    left: Tensor<4>,
    right: Tensor<4>,
}

impl OuterFactors {
    fn of(form: &GradientForm) -> Option<Self> {
        match form {
            GradientForm::Outer { left, right, .. } => Some(Self {
                left: left.clone(),
                right: right.clone(),
            }),
            GradientForm::Rows(_)
            | GradientForm::Embedding { .. }
            | GradientForm::Combination { .. } => None,
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

    /// Pieces of `size` samples; at least one piece, perhaps empty.
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

    /// `Σ_gtu ⟨left, left'⟩ ⟨right, right'⟩`, `(k, n)`.
    fn products(&self, others: &Self) -> Tensor<2> {
        let ([n, g, t], [k, _, u]) = (self.counts(), others.counts());
        let flat = |side: &Tensor<4>| {
            let [n, g, t, d] = side.dims();
            side.clone().swap_dims(0, 1).reshape([g, n * t, d])
        };
        let inner = |own, others| flat(others).product(flat(own).swap_dims(1, 2));
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
