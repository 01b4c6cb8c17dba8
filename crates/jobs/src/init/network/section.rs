//! The section of the model.

use std::path::Path;

use super::loss::LossGuess;
use crate::init::written::{line, quoted};

/// What a configuration says of a network.
#[derive(Debug)]
pub(in crate::init) struct ProposedNetwork {
    pub(super) onnx: String,
    pub(super) weights: Option<String>,
    pub(super) state: Option<String>,
    pub(super) loss: LossGuess,
    /// Whether inputs are looked up in an embedding.
    pub(super) embeds: bool,
    /// Whether the first input is made of integers.
    pub(in crate::init) reads_integers: bool,
}

impl ProposedNetwork {
    /// The section of the configuration.
    pub(in crate::init) fn section(&self) -> String {
        let mut text = format!("\n[model]\nonnx = {}\n", quoted(&self.onnx));
        for (key, value) in [("weights", &self.weights), ("state", &self.state)] {
            if let Some(value) = value {
                text.extend([key, " = ", &quoted(value), "\n"]);
            }
        }
        let loss = format!("loss = {}", quoted(self.loss.loss.as_str()));
        text.push_str(&line(&loss, &self.loss.comment));
        if let Some(ignore) = self.loss.ignore {
            let why = "a guess: targets with this number do not count";
            text.push_str(&line(&format!("ignore = {ignore}"), why));
        }
        text.push_str(
            "# measurement = \"margin\"        # of test points, in place of their loss; or \"logit\", { logit = 3 }, \"log-probability\", { output = \"name of a tensor\" }\n",
        );
        // Programs that PyTorch saved say which parameters were trained.
        if Path::new(&self.onnx)
            .extension()
            .is_some_and(|extension| extension == "pt2")
        {
            return text;
        }
        text.push_str(
            "# frozen = [\"emb.*\"]            # parameters that were not trained: the file does not say it\n",
        );
        if self.embeds {
            text.push_str(
                "# padding = { \"emb.weight\" = 0 }   # rows of padding_idx: the file does not have it\n",
            );
        }
        text
    }
}
