//! `influence init`: a configuration to begin with, from the weights and the data that are there.

mod flow;
mod groups;
mod layers;
mod lines;
mod method;
mod norms;
mod order;
mod proposal;
mod targets;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use influence_core::Precision;
use influence_data::{ArrayPath, ClassOrder, Files, Source, TableForm, test_points};
use toml::{Table, Value};

use crate::{
    args::InitArguments, assessment::Assessment, config::Config, error::message,
    output::check_file, plan::Plan, session::Session, subject::Models, weights::Weights,
};
use layers::{
    Layers, is_one_linear_layer, multiplications, of_weights, outputs, parameters_to_train,
    to_train,
};
use method::Problem;
use order::Outputs;
use proposal::{Data, Proposal, SELF, WEIGHT_DECAY};
use targets::Targets;

/// What a configuration begins with that does not run as it is.
const HAND: &str = "it needs your hand before it runs";
/// Where weights that are to be trained will be.
const WEIGHTS: &str = "model.safetensors";

/// Writes a configuration with a comment on each choice, and checks it as `run` would.
///
/// # Errors
/// When the files cannot be read, the weights are of no kind of layer that is known, or the configuration is there already.
pub fn run(
    arguments: &InitArguments,
    models: &dyn Models,
    session: &Session,
    out: &mut impl Write,
) -> Result<()> {
    let path = &arguments.config;
    let shown = path.display();
    ensure!(
        !path.exists() || arguments.overwrite,
        "{shown} exists; choose another path, or replace it by --overwrite"
    );
    check_file(path)?;
    let mut found = Vec::new();
    let proposal = proposal(arguments, models, &mut found)?;
    let mut text = proposal.text();
    let trained = arguments.weights.is_some();
    let checked = trained.then(|| check(&text, path, models));
    if let Some(Err(error)) = &checked {
        text = format!("# {HAND}: {}\n{text}", message(error));
    }
    fs::write(path, &text).with_context(|| shown.to_string())?;
    session.remark(&proposal.targets.warnings);
    writeln!(out, "wrote {shown}")?;
    found.dedup();
    for line in found {
        writeln!(out, "{line}")?;
    }
    let compute = proposal.data.command();
    if compute == SELF {
        writeln!(
            out,
            "there are no test points, so it is for self-influences"
        )?;
    }
    match checked {
        None => writeln!(
            out,
            "next: look at the layers in it, then `influence train {shown}` and `{compute} {shown}`"
        )?,
        Some(Ok(plan)) => {
            let assessment = Assessment::of_plan(&plan)?;
            assessment.tell(session.progress());
            let [k, n] = plan.shape();
            let tested = match compute {
                SELF => String::new(),
                _ => format!(", {k} test points"),
            };
            writeln!(
                out,
                "the model has {} parameters; {n} training points{tested}",
                plan.dim
            )?;
            assessment.print(out)?;
            writeln!(
                out,
                "next: look at the layers in it, then `{compute} {shown}`"
            )?;
        }
        Some(Err(error)) => {
            let needed = format!("{shown}: {HAND}: {}", message(&error));
            session.progress().warn(&needed);
        }
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
    let sides = Sides::open(arguments)?;
    found.extend(sides.found());
    let (first, data) = (&sides.train, sides.data(arguments, base));
    let [train, test] = sides.points(arguments);
    let problem = |parameters, multiplications, layers: Option<&[String]>, weight_decay| Problem {
        parameters,
        multiplications,
        train,
        test,
        convex: layers.is_some_and(is_one_linear_layer),
        weight_decay,
    };
    let Some(weights) = &arguments.weights else {
        let targets = Targets::of(first, sides.test.as_ref(), None, true)?;
        let parameters = parameters_to_train(&first.shape, targets.outputs);
        let layers = to_train(&first.shape, targets.outputs, arguments.activation);
        let layers = models.are_listed().then_some(layers);
        let decay = Some(arguments.weight_decay.unwrap_or(WEIGHT_DECAY));
        return Ok(Proposal {
            weights: WEIGHTS.into(),
            state: None,
            problem: problem(parameters, parameters, lines(layers.as_ref()), decay),
            layers,
            data,
            names: first.names.clone(),
            targets,
            untrained: true,
            integers: first.integers[0],
        });
    };
    let read = Weights::read(weights, arguments.state.as_deref(), Precision::F32);
    let read = read.context("--weights")?;
    let remarks = read.remarks().into_iter();
    found.extend(remarks.map(|remark| format!("weights: {remark}")));
    let sizes = read.names().filter_map(|name| read.shape(name));
    let parameters = sizes.map(|shape| shape.iter().product::<usize>()).sum();
    let layers = if models.are_listed() {
        let expected = Targets::of(first, sides.test.as_ref(), None, false)?;
        let expected = match (first.integers[1], expected.classes) {
            (true, true) => Outputs::AtLeast(expected.outputs),
            // Whole numbers may still be those of many classes.
            (true, false) => Outputs::AtLeast(1),
            (false, _) => Outputs::Exactly(expected.outputs),
        };
        Some(of_weights(
            &read,
            &first.shape,
            expected,
            arguments.activation,
        )?)
    } else {
        None
    };
    let targets = match &layers {
        Some(layers) => {
            let outputs = outputs(&layers.lines, &read);
            Targets::of(first, sides.test.as_ref(), outputs, false)?
        }
        // The task of the program says what they are.
        None => Targets::default(),
    };
    let work = multiplications(&read, &first.shape);
    Ok(Proposal {
        weights: relative(weights, base),
        state: arguments.state.clone(),
        problem: problem(
            parameters,
            work,
            lines(layers.as_ref()),
            arguments.weight_decay,
        ),
        layers,
        data,
        names: first.names.clone(),
        targets,
        untrained: false,
        integers: first.integers[0],
    })
}

fn lines(layers: Option<&Layers>) -> Option<&[String]> {
    layers.map(|layers| &layers.lines[..])
}

/// The points that are given: of both sides or of the training side alone, or all together.
struct Sides {
    train: Pair,
    test: Option<Pair>,
}

impl Sides {
    fn open(arguments: &InitArguments) -> Result<Self> {
        let form = arguments.form();
        if !arguments.all.is_empty() {
            let train = Pair::open(&arguments.all, form, ClassOrder::Own).context("--all")?;
            return Ok(Self { train, test: None });
        }
        let train = Pair::open(&arguments.train, form, ClassOrder::Own).context("--train")?;
        let order = ClassOrder::of_training(train.names.as_deref());
        let test = (!arguments.test.is_empty())
            .then(|| Pair::open(&arguments.test, form, order).context("--test"));
        let test = test.transpose()?;
        Ok(Self { train, test })
    }

    /// What was found on either side, in sentences.
    fn found(&self) -> Vec<String> {
        let sides = [Some(&self.train), self.test.as_ref()];
        sides
            .into_iter()
            .flatten()
            .flat_map(|pair| pair.source.found())
            .collect()
    }

    /// As they are written.
    fn data(&self, arguments: &InitArguments, base: &Path) -> Data {
        let written = |pair: &Pair| {
            [&pair.files.inputs, &pair.files.targets].map(|file| relative_array(file, base))
        };
        match &self.test {
            Some(test) => Data::Apart {
                train: written(&self.train),
                test: written(test),
            },
            None if arguments.all.is_empty() => Data::Alone {
                train: written(&self.train),
            },
            None => Data::Together {
                all: written(&self.train),
                test: arguments.split,
            },
        }
    }

    /// How many there are on either side.
    fn points(&self, arguments: &InitArguments) -> [usize; 2] {
        let all = self.train.points;
        if let Some(test) = &self.test {
            return [all, test.points];
        }
        if arguments.all.is_empty() {
            // Each training point is solved for itself.
            return [all; 2];
        }
        let tests = test_points(all, arguments.split).min(all);
        [all - tests, tests]
    }
}

/// The inputs and targets of one side.
struct Pair {
    source: Source,
    files: Files,
    points: usize,
    shape: Vec<usize>,
    target_shape: Vec<usize>,
    /// Whether inputs, and targets, are stored as integers.
    integers: [bool; 2],
    /// The names of the classes in the order of their numbers.
    names: Option<Vec<String>>,
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
        Ok(Self {
            points: source.len(),
            shape: source.sample_shape(),
            target_shape: source.target_shape(),
            integers: source.are_integers()?,
            names: source.classes().map(<[String]>::to_vec),
            files: source.files().clone(),
            source,
        })
    }

    /// A class by its name, or by its number where it has none.
    fn named(&self, class: i64) -> String {
        let place = usize::try_from(class).ok();
        let name = place.and_then(|place| self.names.as_ref()?.get(place).cloned());
        name.unwrap_or_else(|| class.to_string())
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
