use std::{collections::BTreeMap, path::Path};

use toml::Table;

use super::*;

/// A value that is valid for a key, beside what it needs.
fn example(key: &str) -> &'static str {
    match key {
        "name" => "",
        "curvature" => "curvature = \"empirical-fisher\"",
        "draws" => "curvature = \"fisher\"\ndraws = 2",
        "damping" => "damping = 0.5",
        "damping_by_parameter" => "damping_by_parameter = { \"*.bias\" = 0.0 }",
        "sweep" => "sweep = [0.1, 1.0]",
        "relative" => "relative = \"losses\"",
        "cut_off" => "cut_off = { relative = 0.1 }",
        "residual" => "residual = \"exact\"",
        "blocks" => "blocks = \"layer-wise\"",
        "rtol" | "tolerance" => "KEY = 0.01",
        "preconditioner" => "preconditioner = \"jacobi\"",
        "scale" | "epsilon" => "KEY = 2.0",
        "second_moments" => "second_moments = \"v\"",
        "complement" | "full_batch" | "leverage" => "KEY = true",
        "checkpoints" => "checkpoints = [{ weights = \"w\", learning_rate = 0.1 }]",
        _ => "KEY = 3",
    }
}

/// The section of a method with one more key.
fn section(method: MethodName, key: &str) -> Table {
    let mut lines = vec![
        format!("name = \"{}\"", method.as_str()),
        example(key).replace("KEY", key),
    ];
    let keys: Vec<&str> = method.keys().iter().map(|key| key.name).collect();
    if keys.contains(&"damping") && key != "damping" {
        lines.push("damping = 0.1".into());
    }
    if method == MethodName::Adam && key != "second_moments" {
        lines.push("second_moments = \"v\"".into());
    }
    if matches!(method, MethodName::Cg | MethodName::Lissa) && key == "rank" {
        lines.push("preconditioner = \"nystroem\"".into());
    }
    lines.join("\n").parse().expect("TOML")
}

fn read(section: Table) -> Result<Method> {
    Method::of_section(section.into())
}

#[test]
fn each_method_reads_its_keys_and_refuses_all_others() {
    let known = refusal::known();
    assert_eq!(
        known.join(" "),
        "name curvature draws damping damping_by_parameter sweep blocks residual relative cut_off leverage rtol \
         max_iterations preconditioner rank tolerance complement oversampling power_iterations depth repeats \
         scale full_batch checkpoints second_moments epsilon segments checkpoints_per_segment"
    );
    for method in MethodName::ALL {
        let name = method.as_str();
        let own: Vec<&str> = method.keys().iter().map(|key| key.name).collect();
        for key in &known {
            let outcome = read(section(method, key));
            // Its gradients are those of the true labels.
            let undrawn = method == MethodName::InverseHarmonicMean && *key == "draws";
            if own.contains(key) && !undrawn {
                let read = outcome.unwrap_or_else(|error| panic!("{name}, {key}: {error:#}"));
                assert_eq!(read.name(), method);
            } else {
                let message = format!("{:#}", outcome.expect_err(key));
                assert!(message.starts_with("method."), "{name}, {key}: {message}");
                assert!(message.contains(name), "{name}, {key}: {message}");
            }
        }
    }
}

#[test]
fn refusals_name_the_methods_that_have_the_key() {
    for (text, message) in [
        (
            "rank = 4\ndamping = 1",
            "method.rank is a setting of the methods arnoldi, nystroem, cg, lissa, not of direct",
        ),
        (
            "name = \"kfac\"\ndamping_by_parameter = {}\ndamping = 1",
            "method.damping_by_parameter is a setting of the methods direct, cg, lissa, diagonal, not of kfac",
        ),
        (
            "name = \"lissa\"\ntolerance = 1\ndamping = 1",
            "method.tolerance is a setting of the methods arnoldi, kfac, ekfac, not of lissa",
        ),
        (
            "name = \"cosine\"\nblocks = \"full\"",
            "method.blocks does not apply to cosine, which inverts no curvature",
        ),
        (
            "name = \"identity\"\ndraws = 2",
            "method.draws is a setting of the curvature fisher",
        ),
        (
            "curvature = \"hessian\"\ndraws = 2\ndamping = 1",
            "method.draws is a setting of the curvature fisher",
        ),
        (
            "name = \"cg\"\nrank = 2\ndamping = 1\npreconditioner = \"jacobi\"",
            "method.rank is, with cg and lissa, a setting of the preconditioner nystroem",
        ),
        (
            "cut_off = 0\ndamping = 1",
            "method.cut_off must be finite and positive, got 0",
        ),
        (
            "cut_off = 0.1\nleverage = true\ndamping = 1",
            "method.cut_off needs the eigenvectors of the curvature with one λ and of all points: \
             leave out method.leverage and method.damping_by_parameter",
        ),
        (
            "name = \"cg\"\ncut_off = 0.1\ndamping = 1",
            "method.cut_off is a setting of the methods direct, kfac, ekfac, not of cg",
        ),
        (
            "relative = \"losses\"\nleverage = true\ndamping = 1",
            "method.leverage changes the gradients of training points, and so does \
             method.relative: leave out one of them",
        ),
        (
            "relative = \"losses\"\nsweep = [0.1, 1.0]",
            "method.relative takes one damping, which the gradients depend on: leave it out, or \
             method.sweep",
        ),
        (
            "residual = \"exact\"\nleverage = true\ndamping = 1",
            "method.leverage solves for training points, too, each of which would be held against \
             the exact matrix: leave out method.residual",
        ),
        (
            "residual = \"true\"\ndamping = 1",
            "method.residual: unknown value `true`; known: own, exact",
        ),
        (
            "curvature = \"hessian\"\nleverage = true\ndamping = 1",
            "method.leverage takes away the Gauss-Newton curvature of a point: it needs the \
             curvature gauss-newton, which of a model that is linear in its parameters is the \
             Hessian",
        ),
        (
            "name = \"cg\"\nleverage = true\nsweep = [0.1, 1.0]",
            "method.leverage takes one damping, which the gradients depend on: leave it out, or \
             method.sweep",
        ),
        (
            "name = \"ekfac\"\nleverage = true\ndamping = 1",
            "method.leverage is a setting of the methods direct, cg, not of ekfac",
        ),
        (
            "name = \"voodoo\"",
            "method.name: unknown value `voodoo`; known: direct, cg, lissa, arnoldi, nystroem, \
             inverse-harmonic-mean, kfac, ekfac, diagonal, identity, cosine, tracin, adam, magic, source, auto",
        ),
        (
            "curvature = \"fischer\"\ndamping = 1",
            "method.curvature: unknown value `fischer`; did you mean `fisher`? (known: hessian, \
             gauss-newton, fisher, empirical-fisher)",
        ),
        (
            "name = \"cg\"\nrtol = \"small\"\ndamping = 1",
            "method.rtol: expected a number, got string \"small\"",
        ),
    ] {
        let error = read(text.parse().expect("TOML")).expect_err(text);
        assert_eq!(format!("{error:#}"), message);
    }
}

#[test]
fn what_is_serialised_are_the_settings_of_the_solver() {
    let text = "name = \"cg\"\nrtol = 0.5\npreconditioner = \"nystroem\"\nrank = 4\ndamping = 1";
    let method = read(text.parse().expect("TOML")).expect("valid");
    let json = serde_json::to_string(&method).expect("JSON");
    assert_eq!(
        json,
        r#"{"rtol":0.5,"max_iterations":null,"preconditioner":"nystroem","rank":4}"#
    );
}

/// The sections in the chapters of the guide.
fn sections() -> Vec<(String, Table)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src");
    let files = std::fs::read_dir(folder).expect("the chapters");
    let mut found = Vec::new();
    for file in files {
        let path = file.expect("a file").path();
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        for block in text.split("```toml\n").skip(1) {
            let block = block.split("\n```").next().unwrap_or_default();
            let table: Table = block.parse().expect("TOML");
            if let Some(Value::Table(section)) = table.get("method") {
                found.push((path.display().to_string(), section.clone()));
            }
        }
    }
    found
}

#[test]
fn the_sections_of_the_guide_are_read() {
    let mut read_by_name = BTreeMap::new();
    for (chapter, section) in sections() {
        let read = read(section).unwrap_or_else(|error| panic!("{chapter}: {error:#}"));
        *read_by_name.entry(read.name().as_str()).or_insert(0) += 1;
    }
    assert!(read_by_name.len() >= 4, "{read_by_name:?}");
}
