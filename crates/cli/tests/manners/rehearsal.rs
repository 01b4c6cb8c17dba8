//! `--dry-run`, and the times that a run prints.

use crate::{
    folder::Folder,
    program::{computed, said},
};

#[test]
fn a_dry_run_writes_nothing() {
    let folder = Folder::new();
    let (_, complaint, code) = said(
        &folder.path(""),
        &["fit", "config.toml", "--fitted", "fit.safetensors"],
    );
    assert_eq!(code, Some(0), "{complaint}");
    let before = folder.contents();
    for (arguments, parts) in [
        (
            &["run", "config.toml"][..],
            &[
                "of 6 training points on 2 test points, 21 parameters",
                "passes",
                "influences.zarr",
            ][..],
        ),
        (
            &["run", "config.toml", "--fitted", "fit.safetensors"],
            &["of 6 training points on 2 test points", "passes"],
        ),
        (
            &["self", "config.toml"],
            &[
                "self-influences of 6 training points, 21 parameters",
                "influences.zarr",
            ],
        ),
        (
            &["sweep", "config.toml", "--damping", "1,0.1"],
            &[
                "of 6 training points on 2 test points",
                "output          96 B",
            ],
        ),
        (
            &["fit", "config.toml", "--fitted", "other.safetensors"],
            &[
                "to fit          direct, 21 parameters",
                "to be kept in   other.safetensors",
            ],
        ),
    ] {
        let (out, err, code) = said(&folder.path(""), &[arguments, &["--dry-run"]].concat());
        assert_eq!(code, Some(0), "{arguments:?}: {err}");
        for part in parts {
            assert!(out.contains(part), "{arguments:?} lacks `{part}`: {out}");
        }
        let end = "dry run         all is checked; nothing was computed or written\n";
        assert!(out.ends_with(end), "{out}");
        assert!(!err.contains("chunks written"), "{err}");
        assert_eq!(folder.contents(), before, "{arguments:?}");
    }
}

#[test]
fn a_dry_run_fails_where_a_run_would() {
    let folder = computed();
    let run = |arguments: &[&str]| {
        said(
            &folder.path(""),
            &[&["run", "config.toml", "--dry-run"], arguments].concat(),
        )
    };
    for (arguments, part) in [
        (&[][..], "output.path: "),
        (
            &["--overwrite", "--set", "data.train.inputs=no.npy"],
            "no.npy does not exist",
        ),
        (
            &["--overwrite", "--fitted", "model.safetensors"],
            "--fitted: ",
        ),
    ] {
        let (out, err, code) = run(arguments);
        assert_eq!((out.as_str(), code), ("", Some(2)), "{arguments:?}");
        assert!(err.contains(part), "{err}");
    }
    assert_eq!(run(&["--overwrite"]).2, Some(0));
    assert!(
        folder.path("influences.zarr/influences").is_dir(),
        "it is still there"
    );
}

#[test]
fn a_run_says_where_its_time_went() {
    let folder = Folder::new();
    for (arguments, phases) in [
        (
            &["run", "config.toml"][..],
            &["check", "fit", "gradients", "scores"][..],
        ),
        (&["self", "config.toml", "--overwrite"], &["check", "fit"]),
        (
            &["sweep", "config.toml", "--overwrite", "--damping", "1,0.1"],
            &["check", "fit", "scores"],
        ),
        (
            &["fit", "config.toml", "--fitted", "f.safetensors"],
            &["check", "fit"],
        ),
    ] {
        let (out, complaint, _) = said(&folder.path(""), arguments);
        let line = out.lines().find(|line| line.starts_with("seconds "));
        let line = line.unwrap_or_else(|| panic!("{out}{complaint}"));
        let (total, each) = line["seconds".len()..].split_once(": ").expect("phases");
        let each: Vec<(&str, f64)> = each
            .split(", ")
            .filter_map(|phase| {
                let (name, seconds) = phase.split_once(' ')?;
                Some((name, seconds.parse().ok()?))
            })
            .collect();
        for phase in phases {
            assert!(
                each.iter().any(|(name, _)| name == phase),
                "{phase}: {line}"
            );
        }
        let total: f64 = total.trim().parse().expect("a number");
        let sum: f64 = each.iter().map(|(_, seconds)| seconds).sum();
        assert!((total - sum).abs() <= 0.01 * each.len() as f64, "{line}");
    }
}
