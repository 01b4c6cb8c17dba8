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

/// Opens inputs and targets; where one of them does not tell whether its first line is a point, the
/// number of the others does.
pub(super) fn joined(
    files: &Files,
    readers: Readers,
    remarks: &mut Vec<String>,
) -> Result<(Vec<OpenedArray>, Targets)> {
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
    let (targets, rows) = match known {
        Some(rows) => {
            let targets = open::beside(&files.targets, rows, remarks, targets);
            (targets.at_unsaid_key("targets")?, rows)
        }
        None => targets(&files.targets).at_unsaid_key("targets")?,
    };
    let inputs = files
        .inputs
        .iter()
        .zip(clear)
        .map(|(file, clear)| match clear {
            Some((opened, _)) => Ok(opened),
            None => of_input(&file.key, open::beside(&file.array, rows, remarks, input)),
        });
    Ok((inputs.collect::<Result<_>>()?, targets))
}
