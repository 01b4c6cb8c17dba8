//! What layers do to the shape of a sample, as far as their weights tell it.

use super::groups::Group;

/// What is known of a sample between two layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Flow {
    /// A sample of the data.
    Sample(Vec<usize>),
    /// So many numbers.
    Flat(usize),
    /// Channels, over places of which pooling and strides tell how many.
    Channels { channels: usize, axes: usize },
    /// Rows of `size` numbers.
    Rows { rows: usize, size: usize },
}

/// A kind of layer, with the sizes that its weights have under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Linear {
        inputs: usize,
        outputs: usize,
    },
    Embedding {
        rows: usize,
        size: usize,
    },
    Convolution {
        axes: usize,
        inputs: usize,
        outputs: usize,
    },
    Transposed {
        axes: usize,
        inputs: usize,
        outputs: usize,
    },
    Norm {
        features: usize,
    },
}

/// What a layer makes of a sample.
#[derive(Debug, Clone)]
pub(super) struct Passed {
    pub(super) flow: Flow,
    /// A line that must come before it.
    pub(super) before: Option<String>,
    /// Groups of channels.
    pub(super) groups: usize,
}

impl Kind {
    /// The kinds that a layer can be, the most usual first.
    pub(super) fn of(group: &Group) -> Vec<Self> {
        let kinds = match group.weight.as_deref() {
            None => vec![Self::Norm {
                features: leading(group.statistics.as_deref()),
            }],
            Some(&[features]) => vec![Self::Norm { features }],
            Some(&[first, second]) => {
                let linear = Self::Linear {
                    inputs: second,
                    outputs: first,
                };
                let embedding = Self::Embedding {
                    rows: first,
                    size: second,
                };
                if group.bias.is_some() {
                    vec![linear]
                } else {
                    vec![linear, embedding]
                }
            }
            Some([first, second, sizes @ ..]) => {
                let (axes, bias) = (
                    sizes.len(),
                    group.bias.as_deref().map(|bias| leading(Some(bias))),
                );
                let usual = Self::Convolution {
                    axes,
                    inputs: *second,
                    outputs: *first,
                };
                let outputs = bias.unwrap_or(*second);
                let turned = Self::Transposed {
                    axes,
                    inputs: *first,
                    outputs,
                };
                let usual = bias.is_none_or(|bias| bias == *first).then_some(usual);
                let divides = *second > 0
                    && outputs.is_multiple_of(*second)
                    && first.is_multiple_of(outputs / *second);
                usual.into_iter().chain(divides.then_some(turned)).collect()
            }
            _ => Vec::new(),
        };
        let class = group.class.as_deref();
        let of_class: Vec<Self> = kinds
            .iter()
            .copied()
            .filter(|kind| kind.is_of(class))
            .collect();
        if of_class.is_empty() { kinds } else { of_class }
    }

    /// Whether a class of PyTorch is of this kind.
    fn is_of(self, class: Option<&str>) -> bool {
        match (self, class) {
            (Self::Linear { .. }, Some(class)) => class == "Linear",
            (Self::Embedding { .. }, Some(class)) => class == "Embedding",
            (Self::Convolution { .. }, Some(class)) => matches!(class, "Conv1d" | "Conv2d"),
            (Self::Transposed { .. }, Some(class)) => class.starts_with("ConvTranspose"),
            (_, None) | (Self::Norm { .. }, _) => true,
        }
    }

    /// The sample behind the layer, if it fits.
    pub(super) fn pass(self, flow: &Flow) -> Option<Passed> {
        match self {
            Self::Linear { inputs, outputs } => linear(inputs, outputs, flow),
            Self::Embedding { size, .. } => match flow {
                Flow::Sample(shape) => {
                    let rows = shape.iter().product();
                    Some(passed(Flow::Rows { rows, size }, shape.len() > 1))
                }
                _ => None,
            },
            Self::Convolution {
                axes,
                inputs,
                outputs,
            } => {
                let (channels, before) = channels(flow, axes, inputs)?;
                let groups =
                    (inputs > 0 && channels.is_multiple_of(inputs)).then(|| channels / inputs)?;
                outputs.is_multiple_of(groups.max(1)).then_some(Passed {
                    flow: Flow::Channels {
                        channels: outputs,
                        axes,
                    },
                    before,
                    groups,
                })
            }
            Self::Transposed {
                axes,
                inputs,
                outputs,
            } => {
                let (channels, before) = channels(flow, axes, inputs)?;
                (channels == inputs).then_some(Passed {
                    flow: Flow::Channels {
                        channels: outputs,
                        axes,
                    },
                    before,
                    groups: 1,
                })
            }
            Self::Norm { features } => {
                normalised(features, flow).then(|| passed(flow.clone(), false))
            }
        }
    }
}

/// The size of the first axis.
fn leading(sizes: Option<&[usize]>) -> usize {
    sizes.and_then(|sizes| sizes.first().copied()).unwrap_or(0)
}

fn passed(flow: Flow, flatten: bool) -> Passed {
    Passed {
        flow,
        before: flatten.then(|| "{ kind = \"flatten\" }".to_owned()),
        groups: 1,
    }
}

fn linear(inputs: usize, outputs: usize, flow: &Flow) -> Option<Passed> {
    let flat = |flatten| Some(passed(Flow::Flat(outputs), flatten));
    let rows = |rows| {
        Some(passed(
            Flow::Rows {
                rows,
                size: outputs,
            },
            false,
        ))
    };
    match flow {
        Flow::Sample(shape) => {
            let all: usize = shape.iter().product();
            match shape.last() {
                _ if all == inputs => flat(shape.len() > 1),
                Some(&last) if last == inputs => rows(all / last.max(1)),
                _ => None,
            }
        }
        Flow::Flat(size) => (*size == inputs).then(|| flat(false))?,
        Flow::Channels { channels, .. } => {
            let whole = *channels > 0 && inputs.is_multiple_of(*channels) && inputs > 0;
            whole.then(|| flat(true))?
        }
        Flow::Rows { rows: count, size } if *size == inputs => rows(*count),
        Flow::Rows { rows, size } => {
            (rows.checked_mul(*size) == Some(inputs)).then(|| flat(true))?
        }
    }
}

/// The channels that reach a convolution over `axes` axes, and a layer that must come before it.
fn channels(flow: &Flow, axes: usize, inputs: usize) -> Option<(usize, Option<String>)> {
    match flow {
        Flow::Sample(shape) if shape.len() == axes + 1 => Some((shape[0], None)),
        Flow::Sample(shape) if shape.len() == axes && axes > 1 && inputs == 1 => {
            let sizes: Vec<String> = shape.iter().map(ToString::to_string).collect();
            let sizes = sizes.join(", ");
            Some((
                1,
                Some(format!("{{ kind = \"reshape\", shape = [1, {sizes}] }}")),
            ))
        }
        // Flat images: how high and wide they are, the weights do not tell.
        Flow::Sample(shape)
            if shape.len() == 1 && inputs > 0 && shape[0].is_multiple_of(inputs) =>
        {
            Some((inputs, None))
        }
        Flow::Channels {
            channels,
            axes: known,
        } if *known == axes => Some((*channels, None)),
        _ => None,
    }
}

/// A weight of one number fits all features, as that of `PReLU`.
fn normalised(features: usize, flow: &Flow) -> bool {
    match flow {
        _ if features == 1 => true,
        Flow::Sample(shape) => shape.first() == Some(&features) || shape.last() == Some(&features),
        Flow::Flat(size) => *size == features,
        Flow::Channels { channels, .. } => *channels == features,
        Flow::Rows { rows, size } => [rows, size].contains(&&features),
    }
}
