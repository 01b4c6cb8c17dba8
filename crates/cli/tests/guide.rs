//! The guide and the README are correct: their configurations and command lines are parsed, every
//! key is explained, and the Python runs on a real output.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use clap::{CommandFactory, Parser};
use influence_cli::{args::Arguments, config::Config};
use toml::Table;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The README and the chapters, by name.
fn chapters() -> Vec<(String, String)> {
    let folder = fs::read_dir(root().join("docs/src")).expect("the chapters");
    let mut paths: Vec<PathBuf> = folder.map(|entry| entry.expect("a file").path()).collect();
    paths.push(root().join("README.md"));
    paths.sort();
    let texts = paths
        .iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    let read = |path: &PathBuf| {
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        (name, fs::read_to_string(path).expect("text"))
    };
    let read: Vec<_> = texts.map(read).collect();
    assert!(read.len() > 10, "the guide has its chapters");
    read
}

/// The blocks of a language, each with the name of its chapter.
fn blocks(language: &str) -> Vec<(String, String)> {
    let start = format!("```{language}\n");
    let mut found = Vec::new();
    for (name, text) in chapters() {
        let mut rest = text.as_str();
        while let Some(at) = rest.find(&start) {
            let block = &rest[at + start.len()..];
            let end = block.find("\n```").expect("a block that ends");
            found.push((name.clone(), block[..end].to_owned()));
            rest = &block[end..];
        }
    }
    found
}

fn check(what: &str, failures: &[String]) {
    assert!(failures.is_empty(), "{what}:\n{}", failures.join("\n"));
}

#[test]
fn every_configuration_is_read() {
    let (mut failures, mut count) = (Vec::new(), 0);
    for (chapter, block) in blocks("toml") {
        let table: Table = block
            .parse()
            .unwrap_or_else(|error| panic!("{chapter}: {error}\n{block}"));
        if ["model", "data", "method"]
            .iter()
            .all(|key| table.contains_key(*key))
        {
            count += 1;
            if let Err(error) = Config::from_table(table) {
                failures.push(format!("{chapter}: {error:#}"));
            }
        }
    }
    assert!(count >= 5, "{count} configurations");
    check("configurations that are refused", &failures);
}

#[test]
fn every_command_line_is_parsed() {
    let (mut failures, mut count) = (Vec::new(), 0);
    let prefixes = ["influence ", "cargo run --release --bin influence -- "];
    for (chapter, block) in blocks("sh") {
        for line in block.replace("\\\n", " ").lines() {
            let said = line.split(" #").next().unwrap_or_default().trim();
            let Some(arguments) = prefixes.iter().find_map(|prefix| said.strip_prefix(prefix))
            else {
                continue;
            };
            count += 1;
            let arguments = arguments.split(" > ").next().unwrap_or_default();
            let words = std::iter::once("influence").chain(arguments.split_whitespace());
            if let Err(error) = Arguments::try_parse_from(words) {
                failures.push(format!("{chapter}: {said}: {error}"));
            }
        }
    }
    assert!(count >= 20, "{count} command lines");
    check("command lines that are refused", &failures);
}

#[test]
fn every_command_is_listed() {
    let (_, reference) = chapters()
        .into_iter()
        .find(|(name, _)| name == "configuration.md")
        .expect("the reference");
    let command = Arguments::command();
    let names = command.get_subcommands().map(clap::Command::get_name);
    let missing: Vec<String> = names
        .filter(|name| {
            !reference.contains(&format!("| `influence {name} "))
                && *name != "demo"
                && *name != "doctor"
        })
        .map(str::to_owned)
        .collect();
    check("commands that the reference lacks", &missing);
}

#[test]
fn every_key_is_explained() {
    let (_, reference) = chapters()
        .into_iter()
        .find(|(name, _)| name == "configuration.md")
        .expect("the reference");
    let separators = |letter: char| !(letter.is_ascii_alphanumeric() || letter == '_');
    let explained: BTreeSet<&str> = reference.split(separators).collect();
    let sources = sources();
    let each = sources.iter();
    let keys: BTreeSet<String> = each
        .flat_map(|source| [keys(source), asked_for(source)].concat())
        .collect();
    assert!(keys.len() > 40, "{keys:?}");
    let missing = keys
        .into_iter()
        .filter(|key| !explained.contains(key.as_str()));
    check(
        "keys that the reference lacks",
        &missing.collect::<Vec<_>>(),
    );
}

/// The sources of the configuration.
fn sources() -> Vec<String> {
    let within = root().join("crates/jobs/src/config");
    let of_data = ["settings.rs", "settings/grouping.rs"];
    let of_data = of_data.map(|file| root().join("crates/data/src").join(file));
    let mut paths = vec![within.with_extension("rs")];
    paths.extend(of_data);
    for folder in [within.clone(), within.join("method")] {
        let files = fs::read_dir(folder).expect("the sources");
        paths.extend(files.map(|entry| entry.expect("an entry").path()));
    }
    let sources = paths.iter().filter(|path| path.is_file());
    sources
        .map(|path| fs::read_to_string(path).expect("text"))
        .collect()
}

/// The fields of types that are read strictly, including layers, without those that no file can
/// set.
fn keys(source: &str) -> Vec<String> {
    let structures = source.split("deny_unknown_fields").skip(1);
    let bodies = structures.map(|rest| rest.split("\n}").next().unwrap_or_default());
    let field = |line: &str| -> Option<String> {
        let (name, _) = line.trim().trim_start_matches("pub ").split_once(": ")?;
        let is_name = name
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || letter == '_');
        is_name.then(|| name.to_owned())
    };
    let of_body = |body: &str| -> Vec<String> {
        let lines: Vec<&str> = body.lines().collect();
        let pairs = lines
            .windows(2)
            .filter(|pair| !pair[0].contains("#[serde(skip)]"));
        pairs.filter_map(|pair| field(pair[1])).collect()
    };
    bodies.flat_map(of_body).collect()
}

/// Prints past the test harness, which hides the output of passing tests.
fn aloud(text: &str) {
    writeln!(std::io::stderr(), "{}", text.trim_end()).expect("stderr is open");
}

#[test]
fn the_python_of_the_guide_runs_on_a_real_output() {
    let python = std::env::var("INFLUENCE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    if let Err(error) = Command::new(&python).arg("--version").output() {
        return aloud(&format!("skipped: {python} cannot be run ({error})"));
    }
    let (folder, golden) = (
        tempfile::tempdir().expect("a folder"),
        root().join("tests/golden/cli/mlp"),
    );
    for entry in fs::read_dir(&golden).expect("the golden case") {
        let path = entry.expect("a file").path();
        fs::copy(&path, folder.path().join(path.file_name().expect("a name"))).expect("copied");
    }
    // The commands that the chapter gives for its outputs.
    let chapter = root().join("docs/src/python.md");
    let text = fs::read_to_string(&chapter).expect("the chapter");
    let commands = text
        .split("```sh\n")
        .nth(1)
        .and_then(|rest| rest.split("\n```").next());
    for line in commands.expect("commands").lines() {
        let (arguments, into) = line.split_once(" > ").unwrap_or((line, ""));
        let mut command = Command::new(env!("CARGO_BIN_EXE_influence"));
        let command = command
            .args(arguments.split_whitespace().skip(1))
            .current_dir(folder.path());
        let outcome = command.output().expect("the binary runs");
        let complaint = String::from_utf8_lossy(&outcome.stderr);
        assert!(outcome.status.success(), "{line}: {complaint}");
        if !into.is_empty() {
            fs::write(folder.path().join(into), outcome.stdout).expect("written");
        }
    }
    let mut script = Command::new(&python);
    let script = script
        .arg(root().join("tests/interop/guide.py"))
        .arg(chapter);
    let script = script
        .arg(folder.path())
        .arg(golden.join("reference_hessian.npy"));
    let outcome = script.output().expect("python runs");
    let said = String::from_utf8_lossy(&outcome.stdout);
    aloud(&said);
    assert!(
        outcome.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&outcome.stderr)
    );
}

/// The keys that readers ask for, as `keys.count("rank")`.
fn asked_for(source: &str) -> Vec<String> {
    let calls = source.split("keys.").skip(1);
    let arguments = calls.filter_map(|call| call.split_once(')')?.0.split_once('('));
    let literals = arguments.flat_map(|(_, arguments)| arguments.split('"').skip(1).step_by(2));
    let is_key = |text: &&str| {
        text.chars()
            .all(|letter| letter.is_ascii_lowercase() || letter == '_')
    };
    literals.filter(is_key).map(str::to_owned).collect()
}
