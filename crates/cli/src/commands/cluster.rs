//! `influence cluster`: a script with which a scheduler computes an output in shares.

use std::{io::Write, path::Path};

use anyhow::{Context, Result};

use crate::args::{ClusterArguments, Scheduler};

impl Scheduler {
    /// What is filled in.
    fn template(self) -> &'static str {
        match self {
            Self::Slurm => include_str!("cluster/slurm.sh"),
            Self::Kubernetes => include_str!("cluster/kubernetes.yaml"),
            Self::Hyperqueue => include_str!("cluster/hyperqueue.sh"),
            Self::Parallel => include_str!("cluster/parallel.sh"),
        }
    }
}

/// Prints the script.
///
/// # Errors
/// When a path is not UTF-8, or the writer fails.
pub(super) fn run(arguments: &ClusterArguments, out: &mut impl Write) -> Result<()> {
    Ok(out.write_all(script(arguments)?.as_bytes())?)
}

fn script(arguments: &ClusterArguments) -> Result<String> {
    let fitted = arguments.fitted.as_deref().unwrap_or(Path::new(""));
    let shares = arguments.shares.get();
    let template = arguments.scheduler.template();
    let (run, flag) = if arguments.self_influences {
        ("self", " --self")
    } else {
        ("run", "")
    };
    Ok(template
        .replace("@RUN@", run)
        .replace("@SELF@", flag)
        .replace("@SHARES@", &shares.to_string())
        .replace("@LAST@", &(shares - 1).to_string())
        .replace("@CONFIG@", &quoted(&arguments.config)?)
        .replace("@FITTED@", &quoted(fitted)?))
}

/// A path as a shell reads it.
fn quoted(path: &Path) -> Result<String> {
    let text = path.to_str();
    let text =
        text.with_context(|| format!("{}: the path is not UTF-8; rename it", path.display()))?;
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:".contains(letter);
    Ok(if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    })
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use clap::ValueEnum;

    use super::*;

    fn arguments(scheduler: Scheduler, fitted: Option<&str>) -> ClusterArguments {
        ClusterArguments {
            scheduler,
            config: "my influence.toml".into(),
            shares: NonZero::new(16).expect("not zero"),
            fitted: fitted.map(Into::into),
            self_influences: false,
        }
    }

    fn of(scheduler: Scheduler, fitted: Option<&str>) -> String {
        script(&arguments(scheduler, fitted)).expect("text")
    }

    #[test]
    fn every_script_is_filled_in_and_says_how_many_shares_there_are() {
        for scheduler in Scheduler::value_variants() {
            let text = of(*scheduler, Some("it's.safetensors"));
            for place in ["SHARES", "LAST", "CONFIG", "FITTED", "RUN", "SELF"] {
                assert!(!text.contains(&format!("@{place}@")), "{place}: {text}");
            }
            assert!(text.contains("config='my influence.toml'"), "{text}");
            assert!(text.contains(r"fitted='it'\''s.safetensors'"), "{text}");
            assert!(text.contains("/16\""), "{text}");
            for stage in ["declare", "--share", "finish"] {
                assert!(text.contains(stage), "{text}");
            }
            assert!(!text.contains("ARRAY_TASK_COUNT"), "{text}");
            assert!(of(*scheduler, None).contains("fitted=\n"), "{text}");
        }
    }

    #[test]
    fn self_influences_are_declared_and_computed_by_their_own_command() {
        for scheduler in Scheduler::value_variants() {
            let mut arguments = arguments(*scheduler, None);
            let of_run = script(&arguments).expect("text");
            assert!(!of_run.contains("--self"), "{of_run}");
            arguments.self_influences = true;
            let text = script(&arguments).expect("text");
            assert!(text.contains(" --self --resume"), "{text}");
            assert!(text.contains(" self \"$config\""), "{text}");
            assert!(!text.contains(" run \"$config\""), "{text}");
        }
    }

    #[test]
    fn slurm_goes_through_declare_shares_and_finish() {
        let text = of(Scheduler::Slurm, None);
        for part in [
            "#SBATCH --requeue",
            "--array=\"${1:-0-15}\"",
            "afterok:$declared",
            "--share \"$SLURM_ARRAY_TASK_ID/16\"",
            "afterany:$shares",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
