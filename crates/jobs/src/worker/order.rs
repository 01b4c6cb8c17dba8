use std::path::PathBuf;

use anyhow::Result;
use influence_calculators::Share;
use serde::{Deserialize, Deserializer, de::Error};

use super::Subject;

/// What a worker is to do.
#[derive(Debug, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case", deny_unknown_fields)]
pub enum WorkOrder {
    /// Say which process this is, and of which version.
    Ping {},
    /// Read everything and fit, or read the fit.
    Fit {
        /// Which part of a fit that several processes do together is to be done instead.
        #[serde(default, deserialize_with = "some_share")]
        share: Option<Share>,
    },
    /// Say what a result looks like, and which part of it each share is.
    Describe {
        /// Which result.
        quantity: Subject,
        /// How many shares there are.
        shares: usize,
    },
    /// Compute influences.
    Scores(NumbersOrder),
    /// Compute the factors of test points.
    Factors(NumbersOrder),
    /// Compute the influence of training points on themselves.
    SelfInfluences(NumbersOrder),
    /// Declare an output that several processes write, or look whether it is what is declared.
    Declare(OutputOrder),
    /// Compute a share of an output that is declared, and write it there.
    Write(OutputOrder),
    /// Check an output, compute what is missing, and complete it.
    Finish(OutputOrder),
}

/// Numbers that go to a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumbersOrder {
    /// Which part of them; all by default.
    #[serde(default, deserialize_with = "share")]
    pub share: Share,
    /// The file.
    pub path: PathBuf,
    /// Of scores: a file with the factors of the test points, which are solved otherwise.
    pub factors: Option<PathBuf>,
}

/// An output.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputOrder {
    /// What it holds: influences, or self-influences.
    pub quantity: Subject,
    /// A folder or a URL.
    pub output: PathBuf,
    /// Whether one that is there is replaced when it is declared.
    #[serde(default)]
    pub overwrite: bool,
    /// Which part is written; all by default.
    #[serde(default, deserialize_with = "share")]
    pub share: Share,
}

impl WorkOrder {
    /// Reads an order from a line of JSON.
    ///
    /// # Errors
    /// When the line is not an order; the message says where in the line.
    pub fn read(line: &str) -> Result<Self> {
        Ok(serde_json::from_str(line)?)
    }
}

fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Share, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(D::Error::custom)
}

fn some_share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Share>, D::Error> {
    share(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read() -> Result<()> {
        assert!(matches!(
            WorkOrder::read(r#"{"order":"ping"}"#)?,
            WorkOrder::Ping {}
        ));
        for (line, expected) in [
            (r#"{"order":"fit"}"#, None),
            (r#"{"order":"fit","share":"0/1"}"#, Some(Share::WHOLE)),
        ] {
            let WorkOrder::Fit { share } = WorkOrder::read(line)? else {
                panic!("a fit");
            };
            assert_eq!(share, expected);
        }
        let line = r#"{"order":"scores","share":"3/16","path":"values"}"#;
        let WorkOrder::Scores(NumbersOrder { share, factors, .. }) = WorkOrder::read(line)? else {
            panic!("scores");
        };
        assert_eq!((share, factors), (Share::new(3, 16)?, None));
        Ok(())
    }

    #[test]
    fn what_is_no_order_is_refused_by_name() {
        for (line, piece) in [
            ("", "EOF"),
            (r#"{"order":"dance"}"#, "unknown variant `dance`"),
            (r#"{"order":"ping","now":1}"#, "unknown field `now`"),
            (r#"{"order":"factors","where":1}"#, "unknown field `where`"),
            (r#"{"order":"factors"}"#, "missing field `path`"),
            (r#"{"order":"fit","share":"4/4"}"#, "got 4/4"),
            (r#"{"order":"factors","share":"4/4","path":"x"}"#, "got 4/4"),
        ] {
            let error = WorkOrder::read(line).expect_err(line).to_string();
            assert!(error.contains(piece), "{line}: {error}");
        }
    }
}
