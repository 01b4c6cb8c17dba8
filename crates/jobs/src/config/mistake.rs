//! What is wrong with a table, in the words of this program.

use influence_data::key::{self, KeyError, KeyPath};
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use toml::Value;

use super::layer;

/// How alike two names must be for one to be proposed in place of the other, between 0 and 1.
const ALIKE: f64 = 0.75;

/// Reads the value at a path of a configuration, or the whole of it.
///
/// # Errors
/// When a key is unknown or missing, or a value is of the wrong type.
pub(super) fn read_at<T: DeserializeOwned>(at: KeyPath, value: Value) -> Result<T, KeyError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        // What else there is, are the names of variants.
        let keys = error.path().iter().filter_map(|segment| match segment {
            Segment::Seq { index } => Some(key::Segment::Index(*index)),
            Segment::Map { key } => Some(key::Segment::Key(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        });
        about(at.join(keys.collect()), error.inner().message())
    })
}

/// What is wrong at a path, in the words of this program.
///
/// A deserialiser has nothing but the text of an error for what it knows, expects and has got. Only
/// that is taken from the text; the path is not.
fn about(path: KeyPath, message: &str) -> KeyError {
    let message = one_line(message);
    if let Some((key, known)) = unknown(&message, "unknown field ") {
        // The tables of layers have no path to their keys: a layer is read once it is known which
        // kind it is, and then without a path.
        let named = path.segments().last() == Some(&key::Segment::Key(key.to_owned()));
        let path = if named { path } else { path.key(key) };
        let message = format!(
            "{}: unknown key; {}",
            layer::shown(&path),
            one_of("known", key, &known)
        );
        return KeyError::worded(path, message).of_key();
    }
    let reworded = reworded(&message);
    let message = match layer::shown(&path).as_str() {
        "" => reworded,
        path => format!("{path}: {reworded}"),
    };
    KeyError::worded(layer::whole(path), message)
}

/// A message of several lines as one.
pub(super) fn one_line(message: &str) -> String {
    message.trim().replace('\n', " ")
}

fn reworded(message: &str) -> String {
    if let Some((value, known)) = unknown(message, "unknown variant ") {
        return format!(
            "unknown value `{value}`; {}",
            one_of("known", value, &known)
        );
    }
    if let Some(key) = message.strip_prefix("missing field ") {
        return format!("missing key {key}");
    }
    let invalid = ["invalid type: ", "invalid value: ", "invalid length "]
        .into_iter()
        .find_map(|start| message.strip_prefix(start)?.rsplit_once(", expected "));
    match invalid {
        Some((got, expected)) => format!("expected {}, got {got}", kind(expected)),
        None => message.to_owned(),
    }
}

/// A type as people call it.
fn kind(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        other if other.starts_with("struct ") || other.starts_with("internally tagged enum ") => {
            "a table"
        }
        other => other,
    }
}

/// The name that was not known, and those that are.
fn unknown<'a>(message: &'a str, start: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let rest = message.strip_prefix(start)?.strip_prefix('`')?;
    let (name, rest) = rest
        .split_once("`, expected ")
        .or_else(|| rest.split_once("`, there are no "))?;
    Some((name, rest.split('`').skip(1).step_by(2).collect()))
}

/// The known names, after the one that is most like the given one, if any is.
pub(super) fn one_of(heading: &str, said: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return "it takes none".to_owned();
    }
    let listed = known.join(", ");
    match nearest(said, known) {
        Some(name) if known.len() > 1 => {
            format!("did you mean `{name}`? ({heading}: {listed})")
        }
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("{heading}: {listed}"),
    }
}

/// The known name that is most like the given one, if any is like it.
fn nearest<'a>(said: &str, known: &[&'a str]) -> Option<&'a str> {
    let likeness = |name: &&str| strsim::jaro(&said.to_lowercase(), name);
    let each = known.iter().map(|name| (likeness(name), *name));
    let best = each.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= ALIKE).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_serde_are_reworded() {
        for (table, message, expected) in [
            (
                "method",
                "unknown field `dampng`, expected one of `name`, `damping`, `rank`",
                "method.dampng: unknown key; did you mean `damping`? (known: name, damping, rank)",
            ),
            (
                "",
                "unknown field `x`, expected `seed` or `device`",
                "x: unknown key; known: seed, device",
            ),
            (
                "a",
                "unknown field `nam`, expected `name`",
                "a.nam: unknown key; did you mean `name`?",
            ),
            (
                "a",
                "unknown field `name`, there are no fields",
                "a.name: unknown key; it takes none",
            ),
            (
                "model.loss",
                "unknown variant `msa`, expected `cross-entropy` or `mse`",
                "model.loss: unknown value `msa`; did you mean `mse`? (known: cross-entropy, mse)",
            ),
            ("data", "missing field `train`", "data: missing key `train`"),
            ("", "missing field `model`", "missing key `model`"),
            (
                "seed",
                "invalid type: string \"zero\", expected u64",
                "seed: expected a whole number, 0 or more, got string \"zero\"",
            ),
            (
                "compute.threads",
                "invalid value: integer `-1`, expected usize",
                "compute.threads: expected a whole number, 0 or more, got integer `-1`",
            ),
            (
                "data",
                "invalid type: integer `1`, expected struct Data",
                "data: expected a table, got integer `1`",
            ),
            ("a.b", "of two\nlines", "a.b: of two lines"),
        ] {
            let path = match table {
                "" => KeyPath::default(),
                table => table.into(),
            };
            assert_eq!(about(path, message).to_string(), expected);
        }
    }

    #[test]
    fn only_what_is_alike_is_proposed() {
        let known = ["seed", "device", "precision", "model", "data", "method"];
        for (said, expected) in [
            ("sead", Some("seed")),
            ("Devise", Some("device")),
            ("metod", Some("method")),
            ("threads", None),
            ("", None),
        ] {
            assert_eq!(nearest(said, &known), expected, "{said}");
        }
    }
}
