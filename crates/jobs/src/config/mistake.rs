//! What is wrong with a table, in the words of this program.

use toml::de::Error;

/// How alike two names must be for one to be proposed in place of the other, between 0 and 1.
const ALIKE: f64 = 0.75;

/// A table that does not fit, as one line that begins with the key it is about.
pub(super) fn explain(error: &Error) -> String {
    // The keys that lead to the value are told by nothing but the text.
    let text = error.to_string();
    let within = text
        .trim_end()
        .rsplit_once("\nin `")
        .and_then(|(_, keys)| keys.strip_suffix('`'));
    about(within.unwrap_or_default(), error.message())
}

fn about(table: &str, message: &str) -> String {
    let message = message.trim().replace('\n', " ");
    if let Some((key, known)) = unknown(&message, "unknown field ") {
        let known = one_of("known", key, &known);
        return match table {
            "" => format!("{key}: unknown key; {known}"),
            table => format!("{table}.{key}: unknown key; {known}"),
        };
    }
    let reworded = reworded(&message);
    match table {
        "" => reworded,
        table => format!("{table}: {reworded}"),
    }
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
            assert_eq!(about(table, message), expected);
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
