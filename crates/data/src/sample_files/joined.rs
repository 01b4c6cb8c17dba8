//! Inputs and targets, opened together.

use anyhow::Result;

use crate::{
    array_path::ArrayPath,
    formats::Unclear,
    input_files::of_input,
    key::AtKey,
    open::{self, OpenedArray},
    readers::Readers,
    settings::Files,
    targets::{self, Targets},
};

/// Opens inputs, and targets if there are some; where one of them does not tell whether its first
/// line is a point, the number of the others does.
pub(super) fn joined(
    files: &Files,
    readers: Readers,
    remarks: &mut Vec<String>,
) -> Result<(Vec<OpenedArray>, Option<Targets>)> {
    let input = |at: &ArrayPath| -> Result<(OpenedArray, usize)> {
        let opened = open::array(at, readers)?;
        let rows = opened.field.shape()[0];
        Ok((opened, rows))
    };
    let targets = |at: &ArrayPath| -> Result<(Targets, usize)> {
        let targets = targets::targets(at, readers)?;
        let rows = targets.len();
        Ok((targets, rows))
    };
    let clear = files.inputs.iter().map(|file| match input(&file.array) {
        Ok(opened) => Ok(Some(opened)),
        Err(error) if error.is::<Unclear>() => Ok(None),
        Err(error) => of_input(&file.key, Err(error)),
    });
    let clear = clear.collect::<Result<Vec<_>>>()?;
    let known = clear.iter().flatten().map(|(_, rows)| *rows).next();
    let (targets, rows) = match (&files.targets, known) {
        (None, known) => (None, known),
        (Some(at), Some(rows)) => {
            let targets = open::beside(at, rows, remarks, targets);
            (Some(targets.at_unsaid_key("targets")?), known)
        }
        (Some(at), None) => {
            let (targets, rows) = targets(at).at_unsaid_key("targets")?;
            (Some(targets), Some(rows))
        }
    };
    let inputs = files
        .inputs
        .iter()
        .zip(clear)
        .map(|(file, clear)| match (clear, rows) {
            (Some((opened, _)), _) => Ok(opened),
            (None, Some(rows)) => {
                of_input(&file.key, open::beside(&file.array, rows, remarks, input))
            }
            // Nothing tells it, so that it is unclear again.
            (None, None) => of_input(&file.key, input(&file.array)).map(|(opened, _)| opened),
        });
    Ok((inputs.collect::<Result<_>>()?, targets))
}
