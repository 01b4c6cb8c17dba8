//! What a network in a file is, for people and for programs.

use std::io::Write;

use anyhow::Result;
use influence_jobs::networks::{InputFacts, NetworkFacts, ParameterFacts};

use crate::args::InspectArguments;

/// Prints the facts about a network.
///
/// # Errors
/// When it cannot be read, or is refused.
pub(super) fn run(arguments: &InspectArguments, out: &mut impl Write) -> Result<()> {
    let facts = NetworkFacts::read(&arguments.output, arguments.weights.as_deref())?;
    if arguments.json {
        serde_json::to_writer_pretty(&mut *out, &facts)?;
        return Ok(writeln!(out)?);
    }
    for (name, text) in lines(&facts) {
        writeln!(out, "{name:<12}{text}")?;
    }
    Ok(())
}

/// Lines for people; a name stands before the first of several.
fn lines(facts: &NetworkFacts) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let mut put = |name: &'static str, texts: Vec<String>| {
        let names = [name].into_iter().chain(std::iter::repeat(""));
        lines.extend(names.zip(texts));
    };
    put("inputs", facts.inputs.iter().map(input).collect());
    let shape = facts.output_shape.as_ref().map(|shape| samples(shape));
    let outputs = facts.outputs.iter().enumerate();
    let outputs = outputs.map(|(place, name)| match (&shape, place) {
        (Some(shape), 0) => format!("{name} {shape}"),
        _ => name.clone(),
    });
    put("outputs", outputs.collect());
    let operators = facts.operators.iter();
    let operators: Vec<String> = operators
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    put("operators", vec![operators.join(", ")]);
    let parameters = facts.parameters.iter();
    let total = format!("{} numbers are trained", facts.trained);
    put(
        "parameters",
        [total]
            .into_iter()
            .chain(parameters.map(parameter))
            .collect(),
    );
    put("untapped", untapped(facts).into_iter().collect());
    put("remarks", facts.remarks.clone());
    lines
}

fn input(input: &InputFacts) -> String {
    let entries = input
        .entries
        .map(|rows| format!(", rows 0 to {} of an embedding", rows.max(1) - 1));
    format!(
        "{} {} {}{}",
        input.name,
        input.shape,
        input.kind,
        entries.unwrap_or_default()
    )
}

fn parameter(parameter: &ParameterFacts) -> String {
    let state = if parameter.trained {
        ""
    } else {
        " not trained"
    };
    let remark = parameter
        .remark
        .as_ref()
        .map(|remark| format!(": {remark}"));
    let remark = remark.unwrap_or_default();
    format!("{} {:?}{state}{remark}", parameter.name, parameter.shape)
}

/// What is said of the parameters without taps, where that was tried.
fn untapped(facts: &NetworkFacts) -> Option<String> {
    let names = facts.untapped.as_ref()?;
    Some(if names.is_empty() {
        "none: gradients of all samples come from one backward pass".to_owned()
    } else {
        format!("{}: one backward pass for each sample", names.join(", "))
    })
}

/// A shape with the samples first.
fn samples(sample: &[usize]) -> String {
    let sides = sample.iter().map(|side| format!(", {side}"));
    format!("(n{})", sides.collect::<String>())
}
