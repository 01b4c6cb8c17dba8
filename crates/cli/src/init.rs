//! `influence init`: a configuration to begin with, from the weights and the data that are there.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use influence_core::Precision;
use toml::{Table, Value};

use crate::{
    args::{Activation, InitArguments},
    config::{ArrayPath, Config, Files},
    data::Source,
    plan::Plan,
    weights::Weights,
};

/// Up to so many parameters the direct method is proposed: a dense matrix of them is factored in seconds.
const DIRECT: usize = 3000;

/// Writes a configuration with a comment on each choice, and checks it as `run` would.
///
/// # Errors
/// When the files cannot be read, the weights are of no kind of layer that is known, or the configuration is there already.
pub fn run(arguments: &InitArguments, out: &mut impl Write) -> Result<()> {
    let path = &arguments.config;
    ensure!(
        !path.exists() || arguments.overwrite,
        "{} exists; choose another path, or replace it by --overwrite",
        path.display()
    );
    let weights = Weights::read(&arguments.weights, Precision::F32).context("--weights")?;
    let [train, test] = [("--train", &arguments.train), ("--test", &arguments.test)]
        .map(|(option, files)| Pair::open(files).context(option));
    let (train, test) = (train?, test?);
    let layers = layers(&weights, &train.shape, arguments.activation)?;
    let base = std::path::absolute(path)?;
    let base = base.parent().unwrap_or(Path::new("/"));
    let text = Proposal {
        weights: relative(&arguments.weights, base),
        train: [&train.files.inputs, &train.files.targets].map(|file| relative_array(file, base)),
        test: [&test.files.inputs, &test.files.targets].map(|file| relative_array(file, base)),
        layers,
        classes: train.classes,
        parameters: weights
            .names()
            .filter_map(|name| weights.shape(name))
            .map(|shape| shape.iter().product::<usize>())
            .sum(),
    }
    .text();
    let checked = check(&text, path);
    fs::write(path, &text).with_context(|| path.display().to_string())?;
    writeln!(out, "wrote {}", path.display())?;
    match checked {
        Ok(plan) => {
            let [k, n] = plan.shape();
            writeln!(
                out,
                "the model has {} parameters; {n} training points, {k} test points",
                plan.dim
            )?;
            writeln!(
                out,
                "next: look at the layers in it, then `influence run {}`",
                path.display()
            )?;
        }
        Err(error) => {
            writeln!(out, "it needs your hand before it runs: {error:#}")?;
        }
    }
    Ok(())
}

/// The inputs and targets of one side.
struct Pair {
    files: Files,
    shape: Vec<usize>,
    classes: bool,
}

impl Pair {
    fn open(paths: &[String]) -> Result<Self> {
        let [inputs, targets] = paths else {
            bail!(
                "expected two arrays, inputs and targets, got {}",
                paths.len()
            );
        };
        let [inputs, targets] = [inputs, targets].map(|path| ArrayPath::from(path.clone()));
        let files = Files { inputs, targets };
        let source = Source::open(&files)?;
        Ok(Self {
            shape: source.sample_shape(),
            classes: source.has_integer_targets()?,
            files,
        })
    }
}

/// The layers that weights are of, in the order of their names with numbers as numbers, and what they cannot tell in between.
fn layers(weights: &Weights, sample: &[usize], activation: Activation) -> Result<Vec<String>> {
    let mut named: BTreeMap<Vec<Part>, (String, usize)> = BTreeMap::new();
    for tensor in weights.names() {
        let layer = match tensor.rsplit_once('.') {
            Some((layer, "weight")) => layer,
            Some((_, "bias")) => continue,
            _ => bail!(
                "{}: `{tensor}` is neither NAME.weight nor NAME.bias: the model is more than a sequence of layers; write a program for it with this library",
                weights.source()
            ),
        };
        let axes = weights.shape(tensor).map_or(0, <[usize]>::len);
        named.insert(parts(layer), (layer.to_owned(), axes));
    }
    ensure!(
        !named.is_empty(),
        "{} has no tensor NAME.weight",
        weights.source()
    );
    let mut layers = Vec::new();
    let mut flat = sample.len() == 1;
    let last = named.len() - 1;
    for (index, (name, axes)) in named.into_values().enumerate() {
        let name = Value::from(name);
        match axes {
            2 => {
                if !flat {
                    layers.push("{ kind = \"flatten\" }".to_owned());
                    flat = true;
                }
                layers.push(format!("{{ kind = \"linear\", name = {name} }}"));
            }
            4 => layers.push(format!("{{ kind = \"conv2d\", name = {name} }}")),
            1 => {
                layers.push(format!("{{ kind = \"layer_norm\", name = {name} }}"));
                continue;
            }
            axes => bail!(
                "{}: the weight of `{name}` has {axes} axes; known are linear (2), conv2d (4) and layer_norm (1)",
                weights.source()
            ),
        }
        if index < last {
            layers.push(format!("{{ kind = \"{}\" }}", activation.as_str()));
        }
    }
    Ok(layers)
}

/// A piece of a name: numbers are ordered as numbers.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Text(String),
}

fn parts(name: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for piece in name.split_inclusive(|letter: char| !letter.is_ascii_digit()) {
        let digits = piece.trim_end_matches(|letter: char| !letter.is_ascii_digit());
        if let Ok(number) = digits.parse() {
            parts.push(Part::Number(number));
        }
        let rest = &piece[digits.len()..];
        match (parts.last_mut(), rest) {
            (_, "") => {}
            (Some(Part::Text(text)), rest) => text.push_str(rest),
            (_, rest) => parts.push(Part::Text(rest.to_owned())),
        }
    }
    parts
}

/// What a configuration is to say.
struct Proposal {
    weights: String,
    train: [String; 2],
    test: [String; 2],
    layers: Vec<String>,
    classes: bool,
    parameters: usize,
}

impl Proposal {
    fn text(&self) -> String {
        let quoted = |text: &String| Value::from(text.as_str()).to_string();
        let pair = |[inputs, targets]: &[String; 2]| {
            format!(
                "{{ inputs = {}, targets = {} }}",
                quoted(inputs),
                quoted(targets)
            )
        };
        let layers = self.layers.iter().fold(String::new(), |mut text, layer| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "    {layer},");
            text
        });
        let (loss, targets) = if self.classes {
            ("cross-entropy", "targets are class numbers")
        } else {
            ("mse", "targets are numbers")
        };
        let method = if self.parameters <= DIRECT {
            "name = \"direct\"                 # exact; others for larger models: cg, arnoldi, ekfac, kfac, ...\n\
             curvature = \"gauss-newton\"      # or hessian, fisher, empirical-fisher\n"
        } else {
            "name = \"ekfac\"                  # for large models; exact but slower: cg with curvature = \"gauss-newton\"\n"
        };
        format!(
            "# Which training points made this model say this?  `influence run` computes it; `influence plan` says what that takes.\n\
             seed = 0                        # of whatever is drawn\n\
             device = \"cpu\"                  # or ndarray, wgpu, cuda:0: those compiled in\n\
             precision = \"f32\"               # or \"f64\"\n\
             \n\
             [model]\n\
             weights = {}\n\
             loss = \"{loss}\"          # as the model was trained: {targets}\n\
             # From the names and shapes of the weights. They do not tell activations, pooling or padding: compare with your model.\n\
             layers = [\n{layers}]\n\
             \n\
             [data]\n\
             train = {}\n\
             test = {}\n\
             \n\
             [method]\n\
             {method}\
             damping = {{ relative = 0.1 }}    # times the mean eigenvalue of the curvature; smaller: sharper, larger: more robust\n\
             \n\
             [compute]\n\
             strategy = \"parallel\"           # or \"sequential\"\n\
             # memory = \"1GiB\"               # bound on resident memory, however many points\n\
             \n\
             [output]\n\
             path = \"influences.zarr\"        # array `influences` of shape (test, train)\n",
            quoted(&self.weights),
            pair(&self.train),
            pair(&self.test),
        )
    }
}

/// Checks a configuration as if it were in its place.
fn check(text: &str, path: &Path) -> Result<Plan> {
    let table: Table = text.parse().context("the configuration")?;
    let base = path.parent().unwrap_or(Path::new(""));
    Plan::of_inputs(Config::from_table(table)?.resolved(base))
}

/// A path as seen from a folder, if it is in it; else the whole of it.
fn relative(path: &Path, base: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_: io::Error| path.to_owned());
    let seen: PathBuf = match absolute.strip_prefix(base) {
        Ok(within) => within.to_owned(),
        Err(_) => absolute,
    };
    seen.display().to_string()
}

fn relative_array(array: &ArrayPath, base: &Path) -> String {
    let path = ArrayPath {
        path: relative(&array.path, base).into(),
        part: array.part.clone(),
    };
    path.to_string()
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn numbers_in_names_are_ordered_as_numbers() {
        let mut names = [
            "fc10", "10", "fc2", "2.weight", "a.2", "a.10", "10.a", "conv1", "fc",
        ];
        names.sort_by_key(|name| parts(name));
        assert_eq!(
            names,
            [
                "2.weight", "10", "10.a", "a.2", "a.10", "conv1", "fc", "fc2", "fc10"
            ]
        );
    }
}
