//! Overrides of single keys: `--set method.damping=0.01`.

use anyhow::{Context, Result, bail};
use influence_data::key::KeyPath;
use toml::{Table, Value};

/// Puts each `a.b=VALUE` into the table, making the tables on the way.
///
/// Keys are not checked here: the configuration refuses those it does not know.
///
/// # Errors
/// When an override has no `=`, an empty key, or leads through a key that holds no table.
pub(crate) fn apply(table: &mut Table, overrides: &[String]) -> Result<()> {
    overrides
        .iter()
        .try_for_each(|text| put(table, text).with_context(|| format!("--set {text}")))
}

/// The path of the key that an override sets.
pub(super) fn path(text: &str) -> Option<KeyPath> {
    let (path, _) = text.split_once('=')?;
    Some(keys(path).fold(KeyPath::default(), KeyPath::key))
}

fn keys(path: &str) -> impl Iterator<Item = &str> {
    path.split('.').map(str::trim)
}

fn put(table: &mut Table, text: &str) -> Result<()> {
    let (path, value) = text
        .split_once('=')
        .context("expected KEY=VALUE, as in `method.damping=0.01`")?;
    let mut keys: Vec<&str> = keys(path).collect();
    if keys.contains(&"") {
        bail!("the key `{path}` has an empty part");
    }
    let last = keys.pop().context("no key")?;
    let mut table = table;
    for key in keys {
        let inner = table
            .entry(key)
            .or_insert_with(|| Value::Table(Table::new()));
        table = inner
            .as_table_mut()
            .with_context(|| format!("`{key}` holds a value, not a table"))?;
    }
    table.insert(last.to_owned(), read(value.trim()));
    Ok(())
}

/// A TOML value, or else the text itself.
fn read(text: &str) -> Value {
    let parsed = format!("value = {text}").parse::<Table>();
    let value = parsed
        .ok()
        .filter(|table| table.len() == 1)
        .and_then(|mut table| table.remove("value"));
    value.unwrap_or_else(|| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use toml::Table;

    use super::apply;

    fn with(overrides: &[&str]) -> anyhow::Result<Table> {
        let mut table: Table = "seed = 1\n[method]\ndamping = 0.1"
            .parse()
            .expect("valid TOML");
        apply(
            &mut table,
            &overrides
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
        )?;
        Ok(table)
    }

    #[test]
    fn values_are_toml_or_else_strings() {
        let cases = [
            ("method.damping=0.01", "0.01"),
            ("method.curvature=empirical-fisher", "\"empirical-fisher\""),
            ("method.damping={ fc = 1.0 }", "{ fc = 1.0 }"),
            ("compute.threads=2", "2"),
            ("output.path=a=b.zarr", "\"a=b.zarr\""),
            ("output.path=\"1\"", "\"1\""),
            ("model.layers=[]", "[]"),
        ];
        for (text, expected) in cases {
            let table = with(&[text]).expect("a valid override");
            let (section, key) = text
                .split_once('=')
                .and_then(|(key, _)| key.split_once('.'))
                .expect("two keys");
            let expected: Table = format!("value = {expected}").parse().expect("valid TOML");
            assert_eq!(table[section][key], expected["value"], "{text}");
        }
    }

    #[test]
    fn the_last_override_wins_and_other_keys_stay() {
        let table = with(&["method.damping=1", "method.damping=2"]).expect("valid overrides");
        assert_eq!(table["method"]["damping"].as_integer(), Some(2));
        assert_eq!(table["seed"].as_integer(), Some(1));
    }

    #[test]
    fn malformed_overrides_are_refused() {
        for (text, message) in [
            ("method.damping", "expected KEY=VALUE"),
            ("=1", "empty part"),
            ("method..damping=1", "empty part"),
            ("seed.deep=1", "`seed` holds a value"),
        ] {
            let error = format!("{:#}", with(&[text]).expect_err(text));
            assert!(error.contains(message) && error.contains(text), "{error}");
        }
    }
}
