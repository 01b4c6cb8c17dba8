//! Products with the second derivative of a loss over a chain of linear maps, many vectors at a time and without differentiation.

use std::ops::Range;

use burn::tensor::Tensor;
use influence_core::Result as CoreResult;
use ndarray::Array2;

use crate::stack::host;

/// One linear map `x · W + b` of a chain, on a batch of `n` samples.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    pub(crate) weight: usize,
    /// Whether the weight is stored as `(out, in)`.
    pub(crate) transposed: bool,
    pub(crate) bias: Option<usize>,
    /// `x`, `(n, in)`.
    pub(crate) inputs: Tensor<2>,
    /// `W`, `(in, out)`.
    pub(crate) matrix: Tensor<2>,
    /// The elementwise function that leads to the next map; the last has none.
    pub(crate) slopes: Option<Slopes>,
}

/// The derivatives of an elementwise function, `(n, out)`; a second one that is nothing is zero.
#[derive(Debug, Clone)]
pub(crate) struct Slopes {
    pub(crate) first: Tensor<2>,
    pub(crate) second: Option<Tensor<2>>,
}

/// The derivatives of the loss of each sample by the outputs of the last map.
#[derive(Debug, Clone)]
pub(crate) struct LossSlopes {
    /// `(n, c)`; nothing leaves out the second derivatives of the maps, which gives the Gauss-Newton matrix.
    pub(crate) first: Option<Tensor<2>>,
    /// `(n, c, c)`.
    pub(crate) second: Tensor<3>,
}

/// A chain of linear maps with elementwise functions between them and a loss of each sample at its end, differentiated twice at a batch.
///
/// A product is a forward pass of tangents and a backward pass of their signals, by matrix products only: two for each map with the vectors, four with
/// the weights and signals known.
///
/// Pearlmutter, *Fast exact multiplication by the Hessian*, 1994.
#[derive(Debug, Clone)]
pub(crate) struct Linearised {
    maps: Vec<Linear>,
    /// By the outputs of each map, `(n, out)`, if they are needed.
    signals: Option<Vec<Tensor<2>>>,
    /// For each map but the last `f'' ∘ ∂loss/∂f`, where it is not zero.
    bends: Vec<Option<Tensor<2>>>,
    /// `(n, c, c)`.
    loss: Tensor<3>,
}

/// Tangents of a batch in each of `k` directions, `(n, k, width)`, or none where they are zero.
type Tangents = Option<Tensor<3>>;

impl Linearised {
    pub(crate) fn new(maps: Vec<Linear>, loss: LossSlopes) -> Self {
        let mut bends = vec![None; maps.len().saturating_sub(1)];
        let mut signals = Vec::with_capacity(maps.len());
        signals.extend(loss.first);
        for index in (0..bends.len()).rev() {
            let (Some(signal), Some(slopes)) = (signals.last(), &maps[index].slopes) else {
                break;
            };
            let back = signal
                .clone()
                .matmul(maps[index + 1].matrix.clone().transpose());
            bends[index] = slopes.second.clone().map(|second| second * back.clone());
            signals.push(back * slopes.first.clone());
        }
        signals.reverse();
        Self {
            signals: (signals.len() == maps.len()).then_some(signals),
            bends,
            loss: loss.second,
            maps,
        }
    }

    /// The numbers held, save the weights.
    pub(crate) fn scalars(&self) -> usize {
        let size = |tensor: &Tensor<2>| tensor.shape().num_elements();
        let maps = self.maps.iter().map(|map| {
            size(&map.inputs) + map.slopes.as_ref().map_or(0, |slopes| size(&slopes.first))
        });
        let kept = self
            .signals
            .iter()
            .flatten()
            .chain(self.bends.iter().flatten());
        maps.sum::<usize>() + kept.map(size).sum::<usize>() + self.loss.shape().num_elements()
    }

    /// The products with rows `(k, dim)`, summed over the samples; `places` says which columns hold which parameter, if any.
    pub(crate) fn products(&self, rows: &Tensor<2>, places: &[Option<Range<usize>>]) -> Tensor<2> {
        /// Numbers of a tensor of tangents that stay in a cache.
        const CACHED: usize = 1 << 18;
        let [k, dim] = rows.dims();
        let size =
            |map: &Linear| map.inputs.dims()[0] * map.matrix.dims().into_iter().max().unwrap_or(1);
        let largest = self.maps.iter().map(size).max().unwrap_or(1).max(1);
        let step = (CACHED / largest).clamp(1, k.max(1));
        let products = (0..k).step_by(step).map(|first| {
            let rows = rows.clone().slice([first..(first + step).min(k), 0..dim]);
            self.products_at_once(&rows, places)
        });
        let products: Vec<Tensor<2>> = products.collect();
        Tensor::cat(products, 0)
    }

    fn products_at_once(&self, rows: &Tensor<2>, places: &[Option<Range<usize>>]) -> Tensor<2> {
        let directions = self.maps.iter().map(|map| Direction::of(map, rows, places));
        let directions: Vec<Direction> = directions.collect();
        let Forward { inputs, outputs } = self.forward(&directions);
        let mut pieces = Vec::new();
        let mut add = |parameter: usize, product: Option<Tensor<2>>| {
            if let (Some(place), Some(product)) = (&places[parameter], product) {
                pieces.push((place.start, product));
            }
        };
        let mut signals = outputs.last().and_then(|last| self.through_loss(last));
        for (index, map) in self.maps.iter().enumerate().rev() {
            let known = self.signals.as_ref().map(|signals| &signals[index]);
            if let Some(bias) = map.bias {
                add(bias, signals.clone().map(summed));
            }
            add(
                map.weight,
                map.weight_product(&signals, &inputs[index], known),
            );
            signals = self.before(index, signals, &directions[index], &outputs);
        }
        placed(pieces, rows.dims()[1], rows)
    }

    /// From signals at the outputs of a map to signals at the outputs of the one before.
    fn before(
        &self,
        map: usize,
        signals: Tangents,
        direction: &Direction,
        tangents: &[Tangents],
    ) -> Tangents {
        let before = map.checked_sub(1)?;
        let matrix = self.maps[map].matrix.clone().transpose();
        let moved = signals.map(|signals| through(signals, matrix));
        let known = self.signals.as_ref().zip(direction.weight.clone());
        let changed =
            known.map(|(known, weight)| apart(known[map].clone(), weight.permute([2, 0, 1])));
        let bent = self.bends[before].clone().zip(tangents[before].clone());
        let bent = bent.map(|(bend, tangents)| tangents * bend.unsqueeze_dim(1));
        sum(self.activated(before, sum(moved, changed)), bent)
    }

    fn forward(&self, directions: &[Direction]) -> Forward {
        let count = self.maps.len();
        let (mut inputs, mut outputs) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let mut tangents: Tangents = None;
        for (index, (map, direction)) in self.maps.iter().zip(directions).enumerate() {
            let moved = tangents.clone();
            let moved = moved.map(|tangents| through(tangents, map.matrix.clone()));
            let own = direction.weight.clone();
            let own = own.map(|weight| apart(map.inputs.clone(), weight.swap_dims(0, 1)));
            let shifted = match (sum(moved, own), direction.bias.clone()) {
                (None, Some(bias)) => Some(bias.repeat_dim(0, map.inputs.dims()[0])),
                (tangents, bias) => sum(tangents, bias),
            };
            outputs.push(shifted.clone());
            let activated = self.activated(index, shifted);
            inputs.push(std::mem::replace(&mut tangents, activated));
        }
        Forward { inputs, outputs }
    }

    /// Adds the matrix itself, summed over the samples and scaled, where one map is all of the chain: products of each pair of inputs, for each pair of
    /// outputs. Otherwise adds nothing, and says so.
    pub(crate) fn add_to(
        &self,
        dense: &mut Array2<f64>,
        scale: f64,
        places: &[Option<Range<usize>>],
    ) -> CoreResult<bool> {
        let [map] = &self.maps[..] else {
            return Ok(false);
        };
        let inputs = map.augmented_inputs();
        let ([n, width], outputs) = (inputs.dims(), self.loss.dims()[2]);
        let columns = map.columns_by_output(places);
        for (output, rows) in columns.chunks_exact(width).enumerate() {
            let own = [0..n, output..output + 1, 0..outputs];
            let second = self.loss.clone().slice(own).swap_dims(1, 2);
            let weighted = second * inputs.clone().unsqueeze_dim(1);
            let weighted = weighted.reshape([n, outputs * width]);
            let sums = host(&inputs.clone().transpose().matmul(weighted))?;
            for (row, sums) in rows.iter().zip(sums.chunks_exact(columns.len())) {
                let Some(row) = *row else { continue };
                for (column, sum) in columns.iter().zip(sums) {
                    if let Some(column) = *column {
                        dense[[row, column]] += scale * sum;
                    }
                }
            }
        }
        Ok(true)
    }

    /// What the derivative of the function after a map makes of tangents, or of signals on their way back.
    fn activated(&self, map: usize, tangents: Tangents) -> Tangents {
        let slopes = self.maps[map].slopes.as_ref()?;
        Some(tangents? * slopes.first.clone().unsqueeze_dim(1))
    }

    /// The signals that tangents of the outputs bring about in the loss.
    fn through_loss(&self, tangents: &Tangents) -> Tangents {
        Some(tangents.clone()?.matmul(self.loss.clone()))
    }
}

/// The tangents of the inputs and of the outputs of each map.
struct Forward {
    inputs: Vec<Tangents>,
    outputs: Vec<Tangents>,
}

/// What a vector says of the parameters of one map.
struct Direction {
    /// `(k, in, out)`.
    weight: Option<Tensor<3>>,
    /// `(1, k, out)`.
    bias: Option<Tensor<3>>,
}

impl Direction {
    fn of(map: &Linear, rows: &Tensor<2>, places: &[Option<Range<usize>>]) -> Self {
        let k = rows.dims()[0];
        let [width, out] = map.matrix.dims();
        let of = |parameter: usize| {
            let place = places[parameter].clone()?;
            Some(rows.clone().slice([0..k, place]))
        };
        let weight = of(map.weight).map(|values| {
            if map.transposed {
                values.reshape([k, out, width]).swap_dims(1, 2)
            } else {
                values.reshape([k, width, out])
            }
        });
        let bias = map.bias.and_then(of);
        Self {
            weight,
            bias: bias.map(|values| values.reshape([1, k, out])),
        }
    }
}

impl Linear {
    /// The inputs, with a one for the bias if there is one.
    fn augmented_inputs(&self) -> Tensor<2> {
        let inputs = self.inputs.clone();
        let ones = || {
            inputs
                .clone()
                .slice([0..inputs.dims()[0], 0..1])
                .ones_like()
        };
        match self.bias {
            Some(_) => Tensor::cat(vec![inputs.clone(), ones()], 1),
            None => inputs,
        }
    }

    /// The columns of the weights and the bias that lead to each output in turn.
    fn columns_by_output(&self, places: &[Option<Range<usize>>]) -> Vec<Option<usize>> {
        let [width, outputs] = self.matrix.dims();
        let start = |parameter: usize| places[parameter].as_ref().map(|place| place.start);
        let of_output = |output: usize| {
            let weight = (0..width).map(move |input| {
                let place = if self.transposed {
                    output * width + input
                } else {
                    input * outputs + output
                };
                Some(start(self.weight)? + place)
            });
            let bias = self.bias.map(|bias| Some(start(bias)? + output));
            weight.chain(bias)
        };
        (0..outputs).flat_map(of_output).collect()
    }

    /// The product for the weight, `(k, in · out)` in the order in which it is stored: of the signals brought about with the inputs, and of the
    /// tangents of the inputs with the signals there are.
    fn weight_product(
        &self,
        brought: &Tangents,
        inputs: &Tangents,
        signals: Option<&Tensor<2>>,
    ) -> Option<Tensor<2>> {
        // Of two matrix products the one is a row of blocks, the other a column.
        let brought = brought.clone().map(|brought| {
            if self.transposed {
                together(brought, self.inputs.clone())
            } else {
                apart(self.inputs.clone().transpose(), brought).swap_dims(0, 1)
            }
        });
        let moved = inputs.clone().zip(signals).map(|(inputs, signals)| {
            if self.transposed {
                apart(signals.clone().transpose(), inputs).swap_dims(0, 1)
            } else {
                together(inputs, signals.clone())
            }
        });
        let product = sum(brought, moved)?;
        let [k, a, b] = product.dims();
        Some(product.reshape([k, a * b]))
    }
}

/// A matrix `(a, b)` times each of `k` matrices that lie side by side, `(b, k, c)` → `(a, k, c)`.
fn apart(matrix: Tensor<2>, others: Tensor<3>) -> Tensor<3> {
    let ([a, _], [b, k, c]) = (matrix.dims(), others.dims());
    matrix.matmul(others.reshape([b, k * c])).reshape([a, k, c])
}

/// The transposed of each of `k` matrices that lie side by side times a matrix, `(n, k, a)`, `(n, b)` → `(k, a, b)`.
fn together(matrices: Tensor<3>, other: Tensor<2>) -> Tensor<3> {
    let ([n, k, a], [_, b]) = (matrices.dims(), other.dims());
    let flat = matrices.reshape([n, k * a]);
    flat.transpose().matmul(other).reshape([k, a, b])
}

/// Tangents times a matrix, all at once.
fn through(tangents: Tensor<3>, matrix: Tensor<2>) -> Tensor<3> {
    let ([n, k, width], out) = (tangents.dims(), matrix.dims()[1]);
    let flat = tangents.reshape([n * k, width]);
    flat.matmul(matrix).reshape([n, k, out])
}

fn sum(a: Tangents, b: Tangents) -> Tangents {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

/// `(n, k, out)` → `(k, out)`.
fn summed(signals: Tensor<3>) -> Tensor<2> {
    let [_, k, out] = signals.dims();
    signals.sum_dim(0).reshape([k, out])
}

/// Pieces at their first columns, with zeros of the kind of another tensor `(k, ·)` elsewhere.
fn placed(mut pieces: Vec<(usize, Tensor<2>)>, dim: usize, like: &Tensor<2>) -> Tensor<2> {
    pieces.sort_by_key(|(start, _)| *start);
    let k = like.dims()[0];
    let zeros = |columns| Tensor::zeros([k, columns], (&like.device(), like.dtype()));
    let (mut joined, mut end) = (Vec::with_capacity(pieces.len()), 0);
    for (start, piece) in pieces {
        if start > end {
            joined.push(zeros(start - end));
        }
        end = start + piece.dims()[1];
        joined.push(piece);
    }
    if end < dim {
        joined.push(zeros(dim - end));
    }
    Tensor::cat(joined, 1)
}
