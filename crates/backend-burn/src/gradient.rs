//! Per-sample gradients in the form in which they are cheapest.

mod along;
mod basis;
mod form;
mod overlaps;
mod scoring;
mod squares;
mod thin_pair;
mod through_rows;

use std::ops::Range;

use burn::tensor::{DType, Device, Int, Tensor};
use influence_core::{Footprint, Precision, ScoringFootprint};

use basis::BasisProducts;
pub(crate) use basis::{Basis, StackIdentity};
pub(crate) use form::{GradientForm, OuterSide, positions, squared_products};
use scoring::Scoring;

use crate::product::Product as _;
use crate::tensors::joined;

/// Test and train points assumed to be scored together where the numbers are not known yet.
const MANY: [usize; 2] = [64, 1024];

/// The gradients of `n` samples, or vectors made of them, in thin form where there is one.
///
/// The gradient of a linear map is a sum of outer products, one for each position at which the map
/// is applied. It is kept as its two thin factors, and multiplied out only where a product needs it
/// or where that is cheaper.
#[derive(Debug, Clone)]
pub struct Gradients {
    samples: usize,
    dim: usize,
    kind: (Device, DType),
    parts: Vec<ParameterGradient>,
}

/// The gradient with respect to one parameter, or one contribution to it.
#[derive(Debug, Clone)]
pub(crate) struct ParameterGradient {
    /// The columns of the parameter in a parameter-space vector.
    pub(crate) columns: Range<usize>,
    pub(crate) form: GradientForm,
    /// Its inner products with vectors that factors share.
    products: BasisProducts,
}

impl ParameterGradient {
    /// A gradient with respect to the parameter in these columns.
    pub(crate) fn new(columns: Range<usize>, form: GradientForm) -> Self {
        Self {
            columns,
            form,
            products: BasisProducts::default(),
        }
    }
}

impl Gradients {
    /// Joins the parts of a gradient; a parameter without a part has gradient zero.
    pub(crate) fn new(
        samples: usize,
        dim: usize,
        kind: (Device, DType),
        parts: Vec<ParameterGradient>,
    ) -> Self {
        Self {
            samples,
            dim,
            kind,
            parts,
        }
    }

    /// Vectors that are plain rows, `(n, dim)`.
    pub(crate) fn dense(rows: Tensor<2>) -> Self {
        let ([samples, dim], kind) = (rows.dims(), (rows.device(), rows.dtype()));
        let part = ParameterGradient::new(0..dim, GradientForm::Rows(rows));
        Self::new(samples, dim, kind, vec![part])
    }

    /// Whether they are plain rows of all columns.
    pub(crate) fn is_dense(&self) -> bool {
        matches!(&self.parts[..], [ParameterGradient { columns, form: GradientForm::Rows(_), .. }] if *columns == (0..self.dim))
    }

    /// The number of samples, `n`.
    pub fn len(&self) -> usize {
        self.samples
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.samples == 0
    }

    /// The number of parameters in scalars.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The device that holds them, and the type of their numbers.
    pub(crate) fn kind(&self) -> (&Device, &DType) {
        (&self.kind.0, &self.kind.1)
    }

    /// How many bytes the gradients take.
    pub(crate) fn bytes(&self) -> usize {
        let scalars: usize = self.parts.iter().map(ParameterGradient::scalars).sum();
        scalars * self.kind.1.size()
    }

    /// The inner products with `k` other vectors, `(k, n)`.
    pub(crate) fn scores(&self, others: &Self) -> Tensor<2> {
        let zeros = || Tensor::zeros([others.samples, self.samples], (&self.kind.0, self.kind.1));
        self.summed(others, ParameterGradient::products, GradientForm::scores)
            .unwrap_or_else(zeros)
    }

    /// The inner products with the same number of other vectors, each with its counterpart, `(n)`.
    pub(crate) fn self_scores(&self, others: &Self) -> Tensor<1> {
        self.summed(
            others,
            ParameterGradient::self_products,
            GradientForm::self_scores,
        )
        .unwrap_or_else(|| self.zeros())
    }

    /// The sum over the parts of inner products, through outer-product factors or through rows,
    /// whichever costs less.
    fn summed<const D: usize>(
        &self,
        others: &Self,
        of_factors: impl Fn(&ParameterGradient, &GradientForm) -> Option<Tensor<D>>,
        of_rows: impl Fn(&GradientForm, Tensor<2>) -> Tensor<D>,
    ) -> Option<Tensor<D>> {
        let products = self.parts.iter().filter_map(|part| {
            let others = others.columns(std::slice::from_ref(&part.columns));
            let forms = others.whole_forms();
            if !part.prefers_factors(&forms, [others.samples, self.samples]) {
                return Some(of_rows(&part.form, others.to_rows()));
            }
            let products = forms.into_iter();
            products
                .filter_map(|form| of_factors(part, form))
                .reduce(|sum, products| sum + products)
        });
        products.reduce(|sum, products| sum + products)
    }

    /// The forms of the parts, if each is of all columns; else none.
    fn whole_forms(&self) -> Vec<&GradientForm> {
        let whole = self.parts.iter().all(|part| part.columns == (0..self.dim));
        let parts = self.parts.iter().filter(|_| whole);
        parts.map(|part| &part.form).collect()
    }

    /// The vectors, multiplied out where inner products with others of this form go through rows
    /// and rows take little more memory.
    pub(crate) fn for_scores(mut self) -> Self {
        for part in &mut self.parts {
            let form = &part.form;
            // Rows of at most twice the memory are formed once here instead of again for each
            // score.
            let affordable = form.width() * self.samples <= 2 * form.scalars();
            if affordable && !part.prefers_factors(&[form], MANY) {
                part.form = GradientForm::Rows(form.to_rows());
            }
        }
        self
    }

    /// Vectors made in several pieces, of which there is at least one; each part keeps the form
    /// that it has in all of them.
    pub(crate) fn joined(mut pieces: Vec<Self>) -> Self {
        let samples = pieces.iter().map(Self::len).sum();
        let alike = pieces.windows(2).all(|pair| {
            let [left, right] = [0, 1].map(|index| pair[index].columns_of_parts());
            left.eq(right)
        });
        if !alike {
            let rows = pieces.iter().map(Self::to_rows);
            return Self::dense(joined(rows.collect(), 0));
        }
        let first = pieces.remove(0);
        let mut rest: Vec<_> = pieces
            .into_iter()
            .map(|piece| piece.parts.into_iter())
            .collect();
        // Part by part, so that pieces are given up as they are joined.
        let parts = first.parts.into_iter().map(|part| {
            let others = rest.iter_mut().filter_map(Iterator::next);
            let forms = std::iter::once(part.form).chain(others.map(|part| part.form));
            let forms: Vec<GradientForm> = forms.collect();
            ParameterGradient::new(part.columns, GradientForm::joined(&forms))
        });
        Self {
            samples,
            parts: parts.collect(),
            dim: first.dim,
            kind: first.kind,
        }
    }

    /// Some of the vectors only.
    pub(crate) fn select(&self, samples: &Tensor<1, Int>) -> Self {
        let parts = self.parts.iter();
        let parts = parts
            .map(|part| ParameterGradient::new(part.columns.clone(), part.form.select(samples)));
        Self {
            samples: samples.dims()[0],
            parts: parts.collect(),
            ..self.clone()
        }
    }

    /// Zero for each sample.
    fn zeros(&self) -> Tensor<1> {
        Tensor::zeros([self.samples], (&self.kind.0, self.kind.1))
    }

    /// Where the parts lie.
    pub(crate) fn columns_of_parts(&self) -> impl Iterator<Item = &Range<usize>> {
        self.parts.iter().map(|part| &part.columns)
    }

    /// The parts that belong to the parameter in these columns.
    pub(crate) fn of(&self, columns: &Range<usize>) -> impl Iterator<Item = &GradientForm> {
        let parts = self.parts.iter();
        parts
            .filter(move |part| part.columns == *columns)
            .map(|part| &part.form)
    }

    /// The weighted sums `Σ_j weights[i, j] g_j` of the gradients, weights `(k, n)` → `(k, dim)`.
    pub(crate) fn combine(&self, weights: &Tensor<2>) -> Tensor<2> {
        self.placed(weights.dims()[0], |form| form.combine(weights))
    }

    /// One row per sample, `(n, dim)`.
    pub(crate) fn to_rows(&self) -> Tensor<2> {
        self.placed(self.samples, GradientForm::to_rows)
    }

    /// The gradients, each times its factor `(n, 1)`.
    pub(crate) fn scaled(mut self, factors: &Tensor<2>) -> Self {
        for part in &mut self.parts {
            part.form.scale(factors);
            part.products = BasisProducts::default();
        }
        self
    }

    /// Values of the parts side by side, summed for each parameter, with zeros where there is no
    /// part.
    fn placed(&self, rows: usize, values: impl Fn(&GradientForm) -> Tensor<2>) -> Tensor<2> {
        self.placed_by(rows, |parts| {
            let values = parts.iter().map(|part| values(&part.form));
            values.reduce(|sum, values| sum + values)
        })
    }

    /// Values of parameters side by side, each of its parts, with zeros where there are none.
    fn placed_by(
        &self,
        rows: usize,
        values: impl Fn(&[&ParameterGradient]) -> Option<Tensor<2>>,
    ) -> Tensor<2> {
        let mut parts: Vec<&ParameterGradient> = self.parts.iter().collect();
        parts.sort_by_key(|part| part.columns.start);
        let zeros = |columns| Tensor::zeros([rows, columns], (&self.kind.0, self.kind.1));
        let (mut pieces, mut end) = (Vec::new(), 0);
        for of_parameter in parts.chunk_by(|a, b| a.columns == b.columns) {
            let columns = &of_parameter[0].columns;
            if columns.start > end {
                pieces.push(zeros(columns.start - end));
            }
            let values = values(of_parameter);
            pieces.push(values.unwrap_or_else(|| zeros(columns.len())));
            end = columns.end;
        }
        if end < self.dim || pieces.is_empty() {
            pieces.push(zeros(self.dim - end));
        }
        joined(pieces, 1)
    }

    /// The vectors times a number, plus combinations of a basis `(rank, dim)` with weights
    /// `(n, rank)`. The combinations become additional parts, unless rows take no more memory.
    pub(crate) fn plus_combination(self, scale: f64, weights: &Tensor<2>, basis: Basis) -> Self {
        let scaled = (scale.abs() > 0.0).then(|| {
            let factors = Tensor::full([self.samples, 1], scale, (&self.kind.0, self.kind.1));
            self.clone().scaled(&factors)
        });
        let mut parts = scaled.map_or_else(Vec::new, |scaled| scaled.parts);
        let own: usize = parts.iter().map(|part| part.form.scalars()).sum();
        let kept = own + weights.shape().num_elements();
        // Thin parts pay only well below the size of rows: scores with them cost more per number.
        if 2 * kept > self.samples * self.dim {
            let sum = weights.clone().product(basis.rows());
            let own = Self { parts, ..self };
            return Self::dense(own.to_rows() + sum);
        }
        let combination = GradientForm::Combination {
            weights: weights.clone(),
            basis,
        };
        parts.extend(self.tiles().into_iter().map(|columns| {
            let form = combination.cut(columns.clone());
            ParameterGradient::new(columns, form)
        }));
        Self { parts, ..self }
    }

    /// The columns of the parts, and those between them.
    fn tiles(&self) -> Vec<Range<usize>> {
        let mut tiles: Vec<Range<usize>> = self.columns_of_parts().cloned().collect();
        tiles.sort_by_key(|columns| columns.start);
        tiles.dedup();
        let starts = std::iter::once(0).chain(tiles.iter().map(|columns| columns.end));
        let ends = tiles.iter().map(|columns| columns.start);
        let gaps = starts.zip(ends.chain([self.dim]));
        let gaps: Vec<_> = gaps.map(|(start, end)| start..end).collect();
        tiles.extend(gaps.into_iter().filter(|gap| !gap.is_empty()));
        tiles
    }

    /// How each part is scored against factors of this form, by its columns.
    pub(crate) fn scoring(&self, factors: &Self) -> impl Iterator<Item = (&Range<usize>, Scoring)> {
        self.parts.iter().map(|part| {
            let factors = factors.columns(std::slice::from_ref(&part.columns));
            let scoring = part.scoring(&factors.whole_forms(), MANY);
            (&part.columns, scoring)
        })
    }

    /// Memory and cost of one gradient, and of scores with factors of this form.
    pub(crate) fn footprint(&self, factors: &Self, precision: Precision) -> Footprint {
        let bytes = precision.bytes();
        let dense = Footprint::dense(self.dim, precision);
        let mut scoring = ScoringFootprint {
            per_test: 0,
            per_train: 0,
            per_pair: 0,
        };
        let mut score_flops = 0.0;
        for (_, of_part) in self.scoring(factors) {
            scoring.per_test = scoring.per_test.max(of_part.scalars.per_test * bytes);
            scoring.per_train = scoring.per_train.max(of_part.scalars.per_train * bytes);
            scoring.per_pair = scoring.per_pair.max(of_part.scalars.per_pair * bytes);
            score_flops += of_part.flops;
        }
        // In addition, two sums on the device and one on the host.
        scoring.per_pair += 2 * bytes + 8;
        let factor = factors.bytes() / factors.samples.max(1);
        Footprint {
            factor,
            gradient: self.bytes() / self.samples.max(1),
            scoring,
            gradient_flops: self.parts.iter().map(ParameterGradient::flops).sum(),
            score_flops,
            compact: factor < dense.factor,
            ..dense
        }
    }

    /// The given columns of every vector, joined in order.
    pub(crate) fn columns(&self, columns: &[Range<usize>]) -> Self {
        let mut dim = 0;
        let mut parts = Vec::new();
        for range in columns {
            parts.extend(self.moved(range, dim));
            dim += range.len();
        }
        Self {
            dim,
            parts,
            ..self.clone()
        }
    }

    /// The vectors with zeros in all but the given columns.
    pub(crate) fn within(&self, columns: &[Range<usize>]) -> Self {
        let parts = columns
            .iter()
            .flat_map(|range| self.moved(range, range.start));
        Self {
            parts: parts.collect(),
            ..self.clone()
        }
    }

    /// The inverse of [`columns`](Self::columns): vectors of length `dim` whose given columns hold
    /// the pieces; there is at least one.
    pub(crate) fn assemble(dim: usize, pieces: &[(&[Range<usize>], &Self)]) -> Option<Self> {
        let (_, first) = pieces.first()?;
        let mut parts = Vec::new();
        for (columns, piece) in pieces {
            let mut from = 0;
            for range in *columns {
                let within = from..from + range.len();
                parts.extend(piece.moved(&within, range.start));
                from = within.end;
            }
        }
        Some(Self::new(first.samples, dim, first.kind.clone(), parts))
    }

    /// The parts within a range of columns, with the range moved to another place.
    fn moved(&self, range: &Range<usize>, to: usize) -> impl Iterator<Item = ParameterGradient> {
        self.parts.iter().filter_map(move |part| {
            let common = part.columns.start.max(range.start)..part.columns.end.min(range.end);
            if common.is_empty() {
                return None;
            }
            let start = to + common.start - range.start;
            let within = common.start - part.columns.start..common.end - part.columns.start;
            Some(ParameterGradient {
                columns: start..start + common.len(),
                products: if common == part.columns {
                    part.products.clone()
                } else {
                    BasisProducts::default()
                },
                form: part.form.cut(within),
            })
        })
    }
}
