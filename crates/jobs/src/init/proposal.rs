use std::fmt::Write as _;

use super::{
    data::{ProposedData, RUN, SELF},
    layers::ProposedLayers,
    network::ProposedNetwork,
    targets::TargetGuess,
    written::{WrittenPoints, line, quoted},
};

use crate::choice::Problem;

/// The weight decay of a model that is to be trained, where none is asked for.
pub(super) const WEIGHT_DECAY: f64 = 1e-4;

/// A configuration to begin with.
#[derive(Debug)]
pub struct Proposal {
    pub(super) weights: String,
    /// The key of the weights in their file.
    pub(super) state: Option<String>,
    /// The layers, unless the program brings them.
    pub(super) layers: Option<ProposedLayers>,
    pub(super) data: ProposedData,
    pub(super) targets: TargetGuess,
    /// The names of the classes in the order of their numbers, where targets are names.
    pub(super) names: Option<Vec<String>>,
    pub(super) problem: Problem,
    /// Whether there are no weights yet.
    pub(super) untrained: bool,
    /// Whether inputs are stored as integers, as pixels are.
    pub(super) integers: bool,
    /// What was found in the files, in sentences.
    pub(super) found: Vec<String>,
    /// The network in a file, in place of weights and layers.
    pub(super) network: Option<ProposedNetwork>,
}

impl Proposal {
    /// What was found in the files, in sentences.
    pub fn found(&self) -> Vec<String> {
        let mut found = self.found.clone();
        found.dedup();
        found
    }

    /// What should be known of the targets, in sentences.
    pub fn warnings(&self) -> &[String] {
        &self.targets.warnings
    }

    /// The command that computes what the points are for.
    pub fn command(&self) -> &'static str {
        self.data.command()
    }

    /// Whether there are test points, so that it is not for self-influences.
    pub fn has_test_points(&self) -> bool {
        self.command() != SELF
    }

    /// The configuration, with a comment on every choice.
    pub fn text(&self) -> String {
        [
            self.head(),
            self.model(),
            self.data(),
            self.train(),
            self.problem.section(),
            self.tail(),
        ]
        .concat()
    }

    fn tail(&self) -> String {
        let output = match self.data.command() {
            SELF => line(
                "path = \"self.zarr\"",
                "array `self_influences` of shape (train)",
            ),
            _ => line(
                "path = \"influences.zarr\"",
                "array `influences` of shape (test, train)",
            ),
        };
        format!("{TAIL}{output}")
    }

    fn head(&self) -> String {
        let first = match (self.untrained, self.data.command()) {
            (true, command) => {
                format!("`influence train` trains the model, `{command}` computes it")
            }
            (false, RUN) => {
                "`influence run` computes it; `influence plan` says what that takes".to_owned()
            }
            (false, command) => format!("`{command}` computes it, of each point on itself"),
        };
        format!(
            "# Which training points made this model say this?  {first}.\n\
             seed = 0                        # of whatever is drawn\n\
             device = \"cpu\"                  # or ndarray, wgpu, cuda:0: those compiled in\n\
             precision = \"f32\"               # or \"f64\"\n"
        )
    }

    fn model(&self) -> String {
        if let Some(network) = &self.network {
            return network.section();
        }
        let mut text = format!("\n[model]\nweights = {}\n", quoted(&self.weights));
        if let Some(state) = &self.state {
            text = text + "state = " + &quoted(state) + "\n";
        }
        let Some(layers) = &self.layers else {
            return text;
        };
        let loss = if self.targets.classes {
            "cross-entropy"
        } else {
            "mse"
        };
        let loss = line(
            &format!("loss = \"{loss}\""),
            &format!("as the model is trained; {}", self.targets.comment),
        );
        let confirm = if layers.doubted {
            "\n# Lines with `confirm` are guesses: correct them, then delete their `confirm`. Until then nothing is computed."
        } else {
            ""
        };
        let source = format!("# {}{confirm}", layers.order);
        // Writing to a string does not fail.
        let _ = writeln!(text, "{loss}{source}\nlayers = [");
        for layer in &layers.lines {
            let _ = writeln!(text, "    {layer},");
        }
        text + "]\n"
    }

    fn data(&self) -> String {
        let pair = WrittenPoints::table;
        let sides = match &self.data {
            ProposedData::Apart { train, test } => {
                format!("train = {}\ntest = {}\n", pair(train), pair(test))
            }
            ProposedData::Alone { train } => format!(
                "train = {}\n# no test = {{ inputs = ..., targets = ... }}: `influence self` needs none, `influence run` does\n",
                pair(train)
            ),
            ProposedData::Together { all, test } => format!(
                "all = {}\nsplit = {{ test = {test:?}, seed = 0 }}    # this share is drawn as test points\n",
                pair(all)
            ),
        };
        let tokens = self.network.as_ref().is_some_and(|it| it.reads_integers);
        let scale = match (self.integers, self.untrained) {
            _ if tokens => "",
            (true, true) => {
                "scale = \"min-max\"               # to 0 to 1; or \"standard\", or { divide = 255 }\n"
            }
            (true, false) => {
                "# scale = { divide = 255 }      # as the model was trained; or \"standard\", \"min-max\"\n"
            }
            (false, _) => {
                "# scale = \"standard\"            # where the model was trained on scaled inputs\n"
            }
        };
        format!("\n[data]\n{sides}{}{scale}", self.names())
    }

    /// The order of classes that have names, which the outputs of the model must have too.
    fn names(&self) -> String {
        let Some(names) = &self.names else {
            return String::new();
        };
        let order = if self.untrained {
            "the model's outputs get this order"
        } else {
            "compare: this must be the order of the model's outputs"
        };
        let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
        format!(
            "# class 0, 1, ...; {order}\nclasses = [{}]\n",
            names.join(", ")
        )
    }

    fn train(&self) -> String {
        if !self.untrained {
            return String::new();
        }
        let decay = self.problem.weight_decay.unwrap_or(WEIGHT_DECAY);
        format!(
            "\n[train]\n\
             optimiser = \"adam\"              # or \"sgd\" with momentum = 0.9\n\
             learning_rate = 0.001\n\
             epochs = 20\n\
             batch = 64\n\
             weight_decay = {decay:?}\n"
        )
    }
}

const TAIL: &str = "\
# `influence sweep` compares dampings: a smaller one is sharper, a larger one more robust.

[compute]
strategy = \"parallel\"           # or \"sequential\"
# memory = \"1GiB\"               # bound on resident memory, however many points

[output]
";
