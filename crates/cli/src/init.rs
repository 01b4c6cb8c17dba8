//! `influence init`: a configuration to begin with, from the weights and the data that are there.

mod layers;
mod proposal;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use influence_core::Precision;
use toml::{Table, Value};

use crate::{
    args::InitArguments,
    config::{ArrayPath, Config, Files, TableForm},
    data::{ClassOrder, Source, classes},
    plan::Plan,
    subject::Models,
    weights::Weights,
};
use layers::{of_weights, parameters_to_train, to_train};
use proposal::{Data, Proposal};

/// Where weights that are to be trained will be.
const WEIGHTS: &str = "model.safetensors";

/// Writes a configuration with a comment on each choice, and checks it as `run` would.
///
/// # Errors
/// When the files cannot be read, the weights are of no kind of layer that is known, or the configuration is there already.
pub fn run(arguments: &InitArguments, models: &dyn Models, out: &mut impl Write) -> Result<()> {
    let path = &arguments.config;
    let shown = path.display();
    ensure!(
        !path.exists() || arguments.overwrite,
        "{shown} exists; choose another path, or replace it by --overwrite"
    );
    let mut found = Vec::new();
    let text = proposal(arguments, models, &mut found)?.text();
    let trained = arguments.weights.is_some();
    let checked = trained.then(|| check(&text, path, models));
    fs::write(path, &text).with_context(|| shown.to_string())?;
    writeln!(out, "wrote {shown}")?;
    found.dedup();
    for line in found {
        writeln!(out, "{line}")?;
    }
    match checked {
        None => writeln!(
            out,
            "next: look at the layers in it, then `influence train {shown}` and `influence run {shown}`"
        )?,
        Some(Ok(plan)) => {
            let [k, n] = plan.shape();
            writeln!(
                out,
                "the model has {} parameters; {n} training points, {k} test points",
                plan.dim
            )?;
            writeln!(
                out,
                "next: look at the layers in it, then `influence run {shown}`"
            )?;
        }
        Some(Err(error)) => writeln!(out, "it needs your hand before it runs: {error:#}")?,
    }
    Ok(())
}

/// What the files say, and what is chosen where they say nothing.
fn proposal(
    arguments: &InitArguments,
    models: &dyn Models,
    found: &mut Vec<String>,
) -> Result<Proposal> {
    let base = std::path::absolute(&arguments.config)?;
    let base = base.parent().unwrap_or(Path::new("/"));
    let form = arguments.form();
    let written = |pair: &Pair| {
        [&pair.files.inputs, &pair.files.targets].map(|file| relative_array(file, base))
    };
    let (first, data) = if arguments.all.is_empty() {
        let train = Pair::open(&arguments.train, form, ClassOrder::Own).context("--train")?;
        let order = ClassOrder::of_training(train.names.as_deref());
        let test = Pair::open(&arguments.test, form, order).context("--test")?;
        found.extend(train.found.iter().chain(&test.found).cloned());
        let data = Data::Apart {
            train: written(&train),
            test: written(&test),
        };
        (train, data)
    } else {
        let all = Pair::open(&arguments.all, form, ClassOrder::Own).context("--all")?;
        found.extend(all.found.iter().cloned());
        let data = Data::Together {
            all: written(&all),
            test: arguments.split,
        };
        (all, data)
    };
    let Some(weights) = &arguments.weights else {
        let outputs = first.outputs()?;
        return Ok(Proposal {
            weights: WEIGHTS.into(),
            layers: models
                .are_listed()
                .then(|| to_train(&first.shape, outputs, arguments.activation)),
            data,
            classes: first.classes,
            names: first.names,
            parameters: parameters_to_train(&first.shape, outputs),
            untrained: true,
            integers: first.integers,
        });
    };
    let read = Weights::read(weights, Precision::F32).context("--weights")?;
    let sizes = read.names().filter_map(|name| read.shape(name));
    let parameters = sizes.map(|shape| shape.iter().product::<usize>()).sum();
    let layers = if models.are_listed() {
        Some(of_weights(&read, &first.shape, arguments.activation)?)
    } else {
        None
    };
    Ok(Proposal {
        weights: relative(weights, base),
        layers,
        data,
        classes: first.classes,
        names: first.names,
        parameters,
        untrained: false,
        integers: first.integers,
    })
}

/// The inputs and targets of one side.
struct Pair {
    files: Files,
    shape: Vec<usize>,
    target_shape: Vec<usize>,
    classes: bool,
    integers: bool,
    /// The names of the classes in the order of their numbers.
    names: Option<Vec<String>>,
    /// What was found, in sentences.
    found: Vec<String>,
}

impl Pair {
    /// Classes that have names get their numbers from `order`.
    fn open(paths: &[String], form: TableForm, order: ClassOrder<'_>) -> Result<Self> {
        let [inputs, targets] = paths else {
            bail!(
                "expected two arrays, inputs and targets, got {}",
                paths.len()
            );
        };
        let [inputs, targets] = [inputs, targets].map(|path| ArrayPath {
            form,
            ..ArrayPath::from(path.clone())
        });
        let files = Files {
            inputs,
            targets,
            ids: None,
            subset: None,
        };
        let source = Source::open(&files, order)?;
        let [integers, classes] = source.are_integers()?;
        Ok(Self {
            shape: source.sample_shape(),
            target_shape: source.target_shape(),
            classes,
            integers,
            names: source.classes().map(<[String]>::to_vec),
            found: source.found(),
            files: source.files().clone(),
        })
    }

    /// As many outputs as there are classes, or numbers in a target.
    fn outputs(&self) -> Result<usize> {
        if !self.classes {
            return Ok(self.target_shape.iter().product());
        }
        if let Some(names) = &self.names {
            return Ok(names.len());
        }
        let classes = classes(&self.files.targets, ClassOrder::Own)?;
        Ok(classes.into_iter().max().unwrap_or(0) + 1)
    }
}

/// Checks a configuration as if it were in its place.
fn check(text: &str, path: &Path, models: &dyn Models) -> Result<Plan> {
    let table: Table = text.parse().context("the configuration")?;
    let base = path.parent().unwrap_or(Path::new(""));
    Plan::of_inputs(Config::from_table(table)?.resolved(base), models)
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

/// An array as a configuration writes it.
fn relative_array(array: &ArrayPath, base: &Path) -> String {
    let path = ArrayPath {
        path: relative(&array.path, base).into(),
        ..array.clone()
    };
    let file = Value::from(path.to_string());
    let TableForm {
        header,
        delimiter,
        decimal,
    } = array.form;
    let said: String = [
        header.map(|header| format!(", header = {header}")),
        delimiter.map(|it| format!(", delimiter = {}", Value::from(it.to_string()))),
        decimal.map(|it| format!(", decimal = {}", Value::from(it.to_string()))),
    ]
    .into_iter()
    .flatten()
    .collect();
    match said.as_str() {
        "" => file.to_string(),
        said => format!("{{ file = {file}{said} }}"),
    }
}
