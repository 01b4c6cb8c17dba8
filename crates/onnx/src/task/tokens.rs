//! Where a network reads the tokens that it predicts.

use influence_core::FieldKind;

use crate::{Error, InputForm, Result};

/// Integers of the same shape as the tokens that are none, by their usual names.
const NO_TOKENS: [&str; 3] = [MASK, "position_ids", "token_type_ids"];
/// The usual names of tokens, and of their mask.
const IDS: &str = "input_ids";
const MASK: &str = "attention_mask";

/// Where a network for next tokens reads them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tokens {
    /// The place of the tokens among the inputs.
    pub(super) input: usize,
    /// That of the mask, if there is one.
    pub(super) mask: Option<usize>,
}

impl Tokens {
    /// Finds them among inputs of these shapes, samples left out, for an output of this many
    /// positions.
    ///
    /// # Errors
    /// [`Error::Setting`] when no input can be the tokens, or there are fewer than two positions.
    pub(super) fn find(
        inputs: &[InputForm],
        shapes: &[Vec<usize>],
        positions: usize,
    ) -> Result<Self> {
        if positions < 2 {
            return Err(Error::Setting(format!(
                "loss `next-token` needs at least 2 positions, the output has {positions}"
            )));
        }
        let fits = |place: usize| shapes[place] == [positions];
        let named = |name: &str| {
            let mut places = 0..inputs.len();
            places.find(|&place| inputs[place].name == name && fits(place))
        };
        let others = || {
            let mut places = 0..inputs.len();
            places.find(|&place| {
                let input = &inputs[place];
                let other = NO_TOKENS.contains(&input.name.as_str());
                input.kind == FieldKind::Int && !other && fits(place)
            })
        };
        let Some(input) = named(IDS).or_else(others) else {
            return Err(Error::Setting(format!(
                "loss `next-token` takes its targets from an integer input (n, {positions}), one token for each position of the output; this network has none; use `sequence-cross-entropy` with targets of your own"
            )));
        };
        Ok(Self {
            input,
            mask: named(MASK),
        })
    }

    /// What names alone do not settle, in a sentence: another input that may be the mask, under a
    /// name that does not say so.
    pub(super) fn remark(self, inputs: &[InputForm], shapes: &[Vec<usize>]) -> Option<String> {
        let tokens = &inputs[self.input].name;
        let places = (0..inputs.len()).filter(|&place| {
            let name = inputs[place].name.as_str();
            place != self.input && shapes[place] == shapes[self.input] && !NO_TOKENS.contains(&name)
        });
        let others: Vec<String> = places
            .map(|place| format!("`{}`", inputs[place].name))
            .collect();
        (self.mask.is_none() && !others.is_empty()).then(|| {
            format!(
                "next-token takes its targets from the input `{tokens}` and counts every position: {} of the same shape would be read as a mask only under the name `{MASK}`; if there is padding, export a module \
                 whose forward has an argument of that name, or set model.ignore to the padding token",
                others.join(", ")
            )
        })
    }
}
