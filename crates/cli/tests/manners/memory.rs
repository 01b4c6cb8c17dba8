//! The memory of a fit is compared with the available memory before the fit begins.

use crate::{folder::Folder, program::said};

/// A linear model with as many outputs as inputs, on a few points.
fn wide(inputs: usize) -> Folder {
    let folder = Folder::new();
    folder.config(
        r#"layers = [{ kind = "linear", name = "fc1" }, { kind = "tanh" }, { kind = "linear", name = "fc2" }]"#,
        r#"layers = [{ kind = "linear", name = "fc" }]"#,
    );
    folder.weights(&[("fc.weight", &[inputs, inputs])], 0.01);
    for (side, points) in [("train", 6), ("test", 2)] {
        let wave = |index: usize| (index as f32 * 0.37).sin();
        let values: Vec<f32> = (0..points * inputs).map(wave).collect();
        let shape = [points as u64, inputs as u64];
        folder.array(&format!("x_{side}.npy"), &values, &shape);
    }
    folder
}

/// The number and unit before some words on a line, in bytes.
fn bytes_before(line: &str, words: &str) -> f64 {
    let before = line.split(words).next().expect("a beginning").trim_end();
    let mut parts = before.rsplit(' ');
    let (unit, number) = (parts.next(), parts.next());
    let scale = match unit.expect("a unit") {
        "B" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        other => panic!("{other}: {line}"),
    };
    let number: f64 = number.expect("a number").parse().expect("a number");
    number * scale
}

fn line<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find(|line| line.starts_with(name));
    line.unwrap_or_else(|| panic!("{name}: {text}"))
}

#[test]
fn a_fit_that_no_machine_holds_is_refused_and_nothing_is_left() {
    let folder = wide(1000);
    let before = folder.contents();
    for arguments in [
        &["run", "config.toml"][..],
        &["run", "config.toml", "--dry-run"],
        &["run", "config.toml", "--memory", "1000TiB"],
        &["self", "config.toml"],
        &["self", "config.toml", "--dry-run"],
        &["sweep", "config.toml", "--damping", "1,0.1"],
        &["plan", "config.toml"],
        &["fit", "config.toml", "--fitted", "f.safetensors"],
        &[
            "fit",
            "config.toml",
            "--fitted",
            "f.safetensors",
            "--dry-run",
        ],
    ] {
        let (out, err, code) = said(&folder.path(""), arguments);
        assert_eq!((out.as_str(), code), ("", Some(2)), "{arguments:?}: {err}");
        for part in ["1000000 parameters takes ", " TiB of memory, but", "ekfac"] {
            assert!(err.contains(part), "{arguments:?} lacks `{part}`: {err}");
        }
        assert_eq!(folder.contents(), before, "{arguments:?}");
    }
}

#[test]
fn a_bound_on_memory_binds_the_fit_of_every_method_that_takes_some() {
    let folder = wide(1000);
    for (method, more) in [
        ("direct", ""),
        ("kfac", ""),
        ("ekfac", ""),
        ("arnoldi", "method.rank=64"),
        ("nystroem", "method.rank=64"),
        ("cg", "method.preconditioner=nystroem"),
    ] {
        let name = format!("method.name={method}");
        let mut arguments = vec!["run", "config.toml", "--memory", "64MiB", "--set", &name];
        arguments.extend(["--set", "method.curvature=gauss-newton"]);
        if !more.is_empty() {
            arguments.extend(["--set", more]);
        }
        let (_, err, code) = said(&folder.path(""), &arguments);
        assert_eq!(code, Some(2), "{method}: {err}");
        assert!(
            err.contains("compute.memory: the fit by "),
            "{method}: {err}"
        );
        assert!(err.contains("64.0 MiB are granted"), "{method}: {err}");
    }
}

#[test]
fn a_plan_counts_kronecker_factors_from_above_and_not_too_far() {
    let folder = wide(600);
    let ekfac = [
        "--set",
        "method.name=ekfac",
        "--set",
        "method.curvature=gauss-newton",
    ];
    let (out, err, code) = said(
        &folder.path(""),
        &[&["plan", "config.toml"], &ekfac[..]].concat(),
    );
    assert_eq!(code, Some(0), "{err}");
    let fit = bytes_before(line(&out, "method"), " to fit");
    let matrices = 2.0 * 600.0 * 600.0 * 8.0;
    assert!((2.0 * matrices..12.0 * matrices).contains(&fit), "{out}");
    assert!(
        line(&out, "time").contains("the fit and solving not counted"),
        "{out}"
    );
    let memory = line(&out, "memory");
    let taken = bytes_before(memory, " taken already");
    let computing = bytes_before(memory, " for the computation");
    let (out, err, code) = said(
        &folder.path(""),
        &[&["run", "config.toml"], &ekfac[..]].concat(),
    );
    assert_eq!(code, Some(0), "{err}");
    if let Some(peak) = out.lines().find(|line| line.starts_with("peak memory")) {
        let planned = fit + computing + taken;
        let peak = bytes_before(&format!("{peak} ."), " .");
        assert!(peak <= planned, "{peak} took more than {planned}");
    }
}

/// The limit is on address space, of which threads reserve much: with less the program could not
/// start.
#[test]
#[cfg(target_os = "linux")]
fn a_limit_of_the_shell_is_one_too() {
    let folder = wide(150);
    let limited = |arguments: &str| {
        let line = format!("ulimit -v 3000000; exec \"$0\" {arguments}");
        let output = std::process::Command::new("sh")
            .args(["-c", &line, env!("CARGO_BIN_EXE_influence")])
            .current_dir(folder.path(""))
            .output();
        crate::program::texts(&output.expect("a shell"))
    };
    let (_, err, code) = limited("run config.toml");
    assert_eq!(code, Some(2), "{err}");
    assert!(
        err.contains("22500 parameters takes 15.1 GiB of memory, but"),
        "{err}"
    );
    let (_, err, code) =
        limited("run config.toml --set method.name=cg --set method.curvature=gauss-newton");
    assert_eq!(code, Some(0), "{err}");
}
