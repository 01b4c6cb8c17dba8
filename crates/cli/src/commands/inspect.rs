//! `influence inspect`: what an output is, how it was made, and what its numbers are like; or what
//! a network in a file is.

mod network;

use std::io::Write;

use anyhow::{Result, ensure};
use influence_jobs::queries::{Stored, facts};
use serde_json::{Value, json};

use crate::args::InspectArguments;

/// Prints the facts about an output, or about a network in a file.
///
/// # Errors
/// When there is no output, or it cannot be read.
pub(super) fn run(arguments: &InspectArguments, out: &mut impl Write) -> Result<()> {
    let ending = arguments.output.extension();
    if ending.is_some_and(|ending| ending == "onnx" || ending == "pt2") {
        return network::run(arguments, out);
    }
    ensure!(
        arguments.weights.is_none(),
        "--weights belongs to a network in a file, got {}",
        arguments.output.display()
    );
    let stored = Stored::open(&arguments.output)?;
    let facts = facts(&stored)?;
    if arguments.json {
        serde_json::to_writer_pretty(&mut *out, &Value::Object(facts.into_iter().collect()))?;
        return Ok(writeln!(out)?);
    }
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
    for (name, value) in facts {
        let value = match value {
            Value::String(text) => text,
            digests if name == "digests" => folded(&digests),
            other => other.to_string(),
        };
        writeln!(out, "{name:width$}{value}")?;
    }
    Ok(())
}

/// Digests as people compare them: of each file the first digits.
fn folded(digests: &Value) -> String {
    /// `sha256:` and as many digits as tell files apart.
    const SHOWN: usize = 7 + 12;
    let of_entry = |(name, value): (String, &Value)| match value {
        Value::String(digest) => {
            let digest: String = digest.chars().take(SHOWN).collect();
            format!("{name} {digest}")
        }
        other => format!("{name} ({})", folded(other)),
    };
    let entries: Vec<String> = match digests {
        Value::Object(entries) => {
            let some = entries.iter().filter(|(_, value)| *value != &json!([]));
            some.map(|(name, value)| of_entry((name.clone(), value)))
                .collect()
        }
        Value::Array(entries) => {
            let numbered = entries.iter().enumerate();
            numbered
                .map(|(index, value)| of_entry((index.to_string(), value)))
                .collect()
        }
        other => vec![other.to_string()],
    };
    entries.join(", ")
}
