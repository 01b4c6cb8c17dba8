//! What a command line gives, as a configuration writes it: arrays of points, paths, lines.

use std::{
    io,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use influence_data::{ArrayPath, InputFile, InputFiles, InputKey, TableForm};
use toml::Value;

/// The inputs and the targets of points, as TOML has them.
#[derive(Debug)]
pub(super) struct WrittenPoints {
    pub(super) inputs: String,
    pub(super) targets: Option<String>,
}

impl WrittenPoints {
    /// Files as seen from a folder.
    pub(super) fn new(inputs: &InputFiles, targets: Option<&ArrayPath>, base: &Path) -> Self {
        Self {
            inputs: written(inputs, base),
            targets: targets.map(|targets| relative_array(targets, base)),
        }
    }

    /// The table of a data set.
    pub(super) fn table(&self) -> String {
        let targets = self.targets.as_ref();
        let targets = targets.map_or_else(String::new, |file| format!(", targets = {file}"));
        format!("{{ inputs = {}{targets} }}", self.inputs)
    }
}

/// The arrays of one argument: `x.npy`; of a network that reads several, `a.npy,b.npy` in its
/// order, or `a=a.npy,b=b.npy` by their names.
///
/// # Errors
/// When some of several have a name and others have not.
pub(super) fn inputs(text: &str, form: TableForm, several: bool) -> Result<InputFiles> {
    let array = |text: &str| ArrayPath {
        form,
        ..ArrayPath::from(text.to_owned())
    };
    // A column may have any name.
    let named: Option<Vec<_>> = text.split(',').map(name_and_file).collect();
    match named {
        _ if !several => Ok(array(text).into()),
        Some(named) => Ok(InputFiles::named(
            named
                .into_iter()
                .map(|(name, file)| (name.to_owned(), array(file))),
        )),
        None if text.contains('#') || !text.contains(',') => Ok(array(text).into()),
        None if text.split(',').any(|part| name_and_file(part).is_some()) => {
            bail!(
                "`{text}`: expected a name for each array, as in ids=ids.npy,mask=mask.npy, or for none"
            )
        }
        None => Ok(InputFiles::listed(text.split(',').map(array))),
    }
}

/// `NAME=FILE`, where a name holds neither a separator of paths nor a mark of columns.
fn name_and_file(text: &str) -> Option<(&str, &str)> {
    let (name, file) = text.split_once('=')?;
    let is_name = !name.is_empty() && !name.contains(['/', '\\', '#']);
    is_name.then_some((name, file))
}

/// Inputs as a configuration writes them.
fn written(inputs: &InputFiles, base: &Path) -> String {
    let each = inputs.iter().map(|InputFile { key, array }| {
        let array = relative_array(array, base);
        match key {
            InputKey::Name(name) => format!("{} = {array}", quoted_key(name)),
            _ => array,
        }
    });
    let each = each.collect::<Vec<_>>().join(", ");
    match inputs.iter().next().map(|input| &input.key) {
        Some(InputKey::Name(_)) => format!("{{ {each} }}"),
        Some(InputKey::Place(_)) => format!("[{each}]"),
        _ => each,
    }
}

/// A key of a table, in quotes where it needs them.
fn quoted_key(name: &str) -> String {
    let is_bare = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    if name.chars().all(is_bare) && !name.is_empty() {
        name.to_owned()
    } else {
        Value::from(name).to_string()
    }
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

/// A path as seen from a folder, if it is in it; else the whole of it.
pub(super) fn relative(path: &Path, base: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_: io::Error| path.to_owned());
    let seen: PathBuf = match absolute.strip_prefix(base) {
        Ok(within) => within.to_owned(),
        Err(_) => absolute,
    };
    seen.display().to_string()
}

/// A string of TOML.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A key with a comment, aligned with the others.
pub(super) fn line(key: &str, comment: &str) -> String {
    format!("{key:<31} # {comment}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_one_or_several_by_name_or_in_order() -> Result<()> {
        let here = std::env::current_dir()?;
        for (text, several, expected) in [
            ("x.npy", true, "\"x.npy\""),
            ("a.npy,b.npy", true, "[\"a.npy\", \"b.npy\"]"),
            ("a.npy,b.npy", false, "\"a.npy,b.npy\""),
            ("t.csv#a,b", true, "\"t.csv#a,b\""),
            ("ids=i.npy", true, "{ ids = \"i.npy\" }"),
            (
                "ids=i.npy,a.b=t.csv#m",
                true,
                "{ ids = \"i.npy\", \"a.b\" = \"t.csv#m\" }",
            ),
        ] {
            let read = inputs(text, TableForm::default(), several)?;
            assert_eq!(written(&read, &here), expected, "{text}");
        }
        assert!(inputs("ids=i.npy,m.npy", TableForm::default(), true).is_err());
        Ok(())
    }
}
