//! A configuration with another method, every other byte as it was.

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use influence_data::key::KeyError;
use toml::de::{DeTable, DeValue};

use super::{Config, MethodName};

impl Config {
    /// The text of a configuration with a method and a λ, written as TOML, in place of its own;
    /// comments and all else stay.
    ///
    /// # Errors
    /// When the method section is written in a way in which they have no place of their own, or its
    /// other keys are not those of the method.
    pub fn with_method(text: &str, name: MethodName, damping: Option<&str>) -> Result<String> {
        let document = DeTable::parse(text)?;
        let method = document.get_ref().get("method");
        let method = method.and_then(|method| match method.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => None,
        });
        let method = method.context("there is no section [method] to write to")?;
        ensure!(
            !method.contains_key("sweep"),
            KeyError::sentence(
                "method.sweep",
                "stands in place of method.damping; take it out"
            )
        );
        let span = |key: &str| method.get(key).map(toml::Spanned::span);
        let quoted = format!("\"{}\"", name.as_str());
        let mut changes: Vec<(Range<usize>, &str)> = Vec::new();
        for (key, value) in [("name", Some(quoted.as_str())), ("damping", damping)] {
            match (span(key), value) {
                (Some(place), Some(value)) => changes.push((place, value)),
                // The method that a configuration has if it names none.
                (None, Some(_)) if key == "name" && name == MethodName::default() => {}
                (None, None) => {}
                (place, _) => {
                    let there = if place.is_some() {
                        "take it out"
                    } else {
                        "write it"
                    };
                    return Err(KeyError::new(
                        "method",
                        format!("`{key}` cannot be changed in place; {there} yourself"),
                    )
                    .into());
                }
            }
        }
        changes.sort_by_key(|(place, _)| place.start);
        let mut changed = text.to_owned();
        for (place, value) in changes.into_iter().rev() {
            changed.replace_range(place, value);
        }
        let table = changed
            .parse()
            .context("the configuration with the new method")?;
        Self::of_sections(table).context("the configuration with the new method")?;
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A model.\n[model]\nweights = \"a.safetensors\"\nloss = \"mse\"\n\
        layers = [{ kind = \"linear\", name = \"fc\" }]\n[data]\n\
        train = { inputs = \"x.npy\", targets = \"y.npy\" }\n[method] # how\n\
        name = \"cg\" # exact\ndamping = { relative = 1.0 } # chosen by hand\n";

    #[test]
    fn comments_and_all_other_bytes_stay() -> Result<()> {
        let got = Config::with_method(TEXT, MethodName::Ekfac, Some("0.01"))?;
        let expected = TEXT
            .replace("\"cg\"", "\"ekfac\"")
            .replace("{ relative = 1.0 }", "0.01");
        assert_eq!(got, expected);
        let back = Config::with_method(&got, MethodName::Cg, Some("{ relative = 1.0 }"))?;
        assert_eq!(back, TEXT);
        Ok(())
    }

    #[test]
    fn what_does_not_fit_the_method_is_refused() {
        for (text, name, damping, part) in [
            (
                TEXT.replace("name = \"cg\"", "rank = 3\nname = \"arnoldi\""),
                MethodName::Cg,
                Some("0.1"),
                "rank",
            ),
            (
                TEXT.to_owned(),
                MethodName::Identity,
                None,
                "take it out yourself",
            ),
            (
                TEXT.replace("name = \"cg\" # exact\n", ""),
                MethodName::Ekfac,
                Some("0.1"),
                "write it yourself",
            ),
            (
                TEXT.replace("damping", "sweep = [0.1]\ndamping"),
                MethodName::Cg,
                Some("0.1"),
                "method.sweep",
            ),
            (
                TEXT.replace("[method]", "[compute]"),
                MethodName::Cg,
                Some("0.1"),
                "section [method]",
            ),
        ] {
            let error = Config::with_method(&text, name, damping).expect_err(part);
            assert!(format!("{error:#}").contains(part), "{error:#}");
        }
    }
}
