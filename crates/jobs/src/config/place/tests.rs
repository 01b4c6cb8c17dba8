use anyhow::{Context, anyhow};
use influence_data::key::AtKey;

use super::*;
use crate::config::Config;

const TEXT: &str = r#"seed = 0
[model]
weights = "model.safetensors"
loss = "mse"
layers = [
    { kind = "linear", name = "fc1" },
    { kind = "relu" },
    { kind = "linear", name = "fc2" },
]
[data]
train = { inputs = "x.npy", targets = "y.npy" }
[data.test]
inputs = "xt.npy"
targets = "yt.npy"
[method]
name = "cg"
damping = 0.1
[compute]
threads = 2
"#;

/// What is said of the text with one piece of it replaced, and the excerpt.
fn mistake(piece: &str, by: &str, set: &[&str]) -> (String, Option<String>) {
    assert_eq!(TEXT.matches(piece).count(), 1, "{piece}");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("c.toml");
    std::fs::write(&path, TEXT.replace(piece, by)).expect("written");
    let set: Vec<String> = set.iter().map(ToString::to_string).collect();
    let error = Config::load(&path, &set).expect_err(by);
    let message = format!("{error:#}").replace(&format!("{}/", folder.path().display()), "");
    let place = error.downcast_ref::<Place>();
    (
        message,
        place.and_then(|place| place.excerpt()).map(str::to_owned),
    )
}

/// A piece of the text, what comes in its place, how the message begins, and what the mark is
/// below.
const MISTAKES: &[(&str, &str, &str, Option<&str>)] = &[
    // Syntax.
    ("seed = 0", "seed = = 0", "c.toml:1: ", Some("=")),
    (
        "name = \"cg\"",
        "name = \"cg",
        "c.toml:16: invalid basic string",
        None,
    ),
    (
        "damping = 0.1",
        "damping = 0.1\ndamping = 1",
        "c.toml:18: duplicate key",
        Some("damping"),
    ),
    // Unknown keys.
    (
        "seed = 0",
        "sead = 0",
        "c.toml:1: sead: unknown key; did you mean `seed`?",
        Some("sead"),
    ),
    (
        "damping =",
        "dampng =",
        "c.toml:17: method.dampng: unknown key; did you mean `damping`? (known: name, curvature, ",
        Some("dampng"),
    ),
    (
        "targets = \"yt.npy\"",
        "labels = \"yt.npy\"",
        "c.toml:14: data.test.labels: unknown key; ",
        Some("labels"),
    ),
    (
        "[compute]",
        "[computes]",
        "c.toml:18: computes: unknown key; did you mean `compute`?",
        Some("computes"),
    ),
    (
        "name = \"fc2\" }",
        "nam = \"fc2\" }",
        "c.toml:8: model.layers: layer 3 (counted from 1): nam: unknown key; did you mean `name`?",
        Some("nam"),
    ),
    // Unknown values.
    (
        "\"mse\"",
        "\"msa\"",
        "c.toml:4: model.loss: unknown value `msa`; did you mean `mse`?",
        Some("\"msa\""),
    ),
    (
        "\"relu\"",
        "\"rely\"",
        "c.toml:7: model.layers: layer 2 (counted from 1): kind: unknown value `rely`; did you mean `relu`?",
        Some("{ kind = \"rely\" }"),
    ),
    // Types.
    (
        "seed = 0",
        "seed = \"zero\"",
        "c.toml:1: seed: expected a whole number, 0 or more, got string \"zero\"",
        Some("\"zero\""),
    ),
    (
        "threads = 2",
        "threads = [2]",
        "c.toml:19: compute.threads: expected a whole number, 0 or more, got ",
        Some("[2]"),
    ),
    (
        "damping = 0.1",
        "damping = \"much\"",
        "c.toml:17: method.damping: expected a number, ",
        Some("\"much\""),
    ),
    // What is missing.
    (
        "weights = \"model.safetensors\"\n",
        "",
        "c.toml:2: model: missing key `weights`",
        Some("model"),
    ),
    (
        "damping = 0.1\n",
        "",
        "c.toml:15: method: missing key `damping`",
        Some("method"),
    ),
    (
        "inputs = \"x.npy\", ",
        "",
        "c.toml:11: data.train: missing key `inputs`",
        Some("train"),
    ),
    (
        "[method]\nname = \"cg\"\ndamping = 0.1\n",
        "",
        "c.toml: missing key `method`",
        None,
    ),
    // Domains.
    (
        "damping = 0.1",
        "damping = -1",
        "c.toml:17: method.damping must be finite and not negative, got -1",
        Some("-1"),
    ),
    (
        "damping = 0.1",
        "damping = { fc1 = 1, fc2 = -1 }",
        "c.toml:17: method.damping.fc2 must be finite",
        Some("-1"),
    ),
    (
        "threads = 2",
        "threads = 0",
        "c.toml:19: compute.threads must be at least 1",
        Some("0"),
    ),
    (
        "damping = 0.1",
        "damping = 0.1\nscale = 1.0",
        "c.toml:18: method.scale is a setting of the method lissa, not of cg",
        Some("1.0"),
    ),
    (
        "damping = 0.1",
        "sweep = [0.1, -2]",
        "c.toml:17: method.sweep[1] must be finite",
        Some("-2"),
    ),
];

#[test]
fn mistakes_are_placed() {
    for &(piece, by, message, marked) in MISTAKES {
        let (got, excerpt) = mistake(piece, by, &[]);
        assert!(got.starts_with(message), "`{got}` is not `{message}`");
        assert!(!got.contains('\n'), "{got}");
        if let Some(marked) = marked {
            let excerpt = excerpt.expect(by);
            assert_eq!(under_mark(&excerpt), marked, "{excerpt}");
        }
    }
}

/// What the mark of an excerpt is below.
fn under_mark(excerpt: &str) -> String {
    let lines: Vec<&str> = excerpt.lines().collect();
    let start = lines[2].find('^').expect("a mark");
    let length = lines[2].matches('^').count();
    lines[1].chars().skip(start).take(length).collect()
}

#[test]
fn overrides_are_their_own_place() {
    for (set, message) in [
        (
            "method.dampng=1",
            "--set method.dampng=1: method.dampng: unknown key; did you mean `damping`?",
        ),
        (
            "method.damping={ fc1 = -1 }",
            "--set method.damping={ fc1 = -1 }: method.damping.fc1 must be",
        ),
        (
            "model.layers=[{kind=\"lineal\"}]",
            "--set model.layers=[{kind=\"lineal\"}]: model.layers: layer 1 (counted from 1): kind: unknown value `lineal`",
        ),
        ("seed", "--set seed: expected KEY=VALUE"),
    ] {
        let (got, excerpt) = mistake("seed = 0", "seed = 1", &[set]);
        assert!(got.starts_with(message), "`{got}` is not `{message}`");
        assert_eq!(excerpt, None);
    }
}

/// An error about files under a key, its message beginning with the key and its place being that of
/// a key in it, if one is given.
fn of_files(key: &str, within: Option<&str>, message: &'static str) -> Error {
    let outcome = Err::<(), _>(anyhow!(message));
    let outcome = match within {
        Some(within) => outcome.at_unsaid_key(within),
        None => outcome,
    };
    outcome.at_key(key).expect_err("it is one")
}

/// Errors that come after the configuration was read.
#[test]
fn errors_of_files_are_placed_where_the_file_is_named() {
    let set = [
        "data.test.targets = other.npy",
        "data.train.targets=t.csv#y",
    ]
    .map(str::to_owned);
    let places = Places::new(Path::new("c.toml"), TEXT, &set);
    let of_layer = Err::<(), _>(anyhow!("why"));
    let of_layer = of_layer.at_unsaid_key(1).context("layer 2 (relu)");
    for (error, place) in [
        (of_files("model.weights", None, "no such file"), "c.toml:3"),
        (
            of_files("data.train", Some("inputs"), "/w/x.npy: row 3"),
            "c.toml:11",
        ),
        (
            of_files("data.test", Some("inputs"), "/w/xt.npy: row 3"),
            "c.toml:13",
        ),
        (of_files("data.test", None, "shape (3)"), "c.toml:12"),
        (
            of_files("data.train", Some("targets"), "/w/t.csv: two columns"),
            "--set data.train.targets=t.csv#y",
        ),
        (
            of_files("data.test", Some("targets"), "other.npy: row 3"),
            "--set data.test.targets = other.npy",
        ),
        (
            of_layer.at_key("model.layers").expect_err("it is one"),
            "c.toml:7",
        ),
        (
            of_files("model.layers", None, "two are named `fc`"),
            "c.toml:5",
        ),
        (KeyError::new("method.blocks", "why").into(), "c.toml:15"),
    ] {
        let text = format!("{error:#}");
        let error = places.located(error);
        assert_eq!(format!("{error:#}"), format!("{place}: {text}"));
        // Once is enough.
        assert_eq!(
            format!("{:#}", places.located(error)),
            format!("{place}: {text}")
        );
    }
    let text = TEXT
        .replace("x.npy", "t.csv#-y")
        .replace("y.npy", "t.csv#y");
    let places = Places::new(Path::new("c.toml"), &text, &[]);
    for (within, message, marked) in [
        (Some("targets"), "t.csv#y: row 3", "\"t.csv#y\""),
        (None, "t.csv: no column", "train"),
    ] {
        let error = places.located(of_files("data.train", within, message));
        let place = error.downcast_ref::<Place>().and_then(Place::excerpt);
        assert_eq!(under_mark(place.expect("a line")), marked);
    }
    for other in [
        anyhow!("--fitted: why"),
        KeyError::new("output.path", "exists").into(),
        anyhow!("seed of doubt"),
        anyhow!("row 3"),
    ] {
        let other = places.located(other);
        assert!(!other.is::<Place>(), "{other:#}");
    }
}

/// A text whose keys hold dots and lie in lists and tables on one line.
const NESTED: &str = r#"[method]
sweep = [
    0.1,
    [1, -2],
]
damping = { "fc.weight" = 1, fc = { weight = 2 } }
"mixed.lists" = [{ rate = 3 }, { rate = [4, 5] }]
"#;

#[test]
fn nested_values_and_quoted_keys_are_found() {
    let places = Places::new(Path::new("c.toml"), NESTED, &[]);
    let method = || KeyPath::from("method");
    let damping = || method().key("damping");
    let mixed = || method().key("mixed.lists");
    for (path, marked) in [
        (method().key("sweep").index(0), "0.1"),
        (method().key("sweep").index(1).index(1), "-2"),
        (damping().key("fc.weight"), "1"),
        (damping().key("fc").key("weight"), "2"),
        (mixed().index(0).key("rate"), "3"),
        (mixed().index(1).key("rate").index(1), "5"),
        // What is not there is shown by what is around it.
        (mixed().index(0).key("weights"), "{ rate = 3 }"),
        (damping().key("fc").key("bias"), "fc"),
        (damping().key("fc.bias"), "damping"),
        // A path that only reads alike is another one.
        (method().key("mixed").key("lists"), "method"),
    ] {
        let error = places.located(KeyError::new(path.clone(), "why").into());
        let excerpt = error.downcast_ref::<Place>().and_then(Place::excerpt);
        assert_eq!(under_mark(excerpt.expect("a line")), marked, "{path}");
    }
    let key = KeyError::new(damping().key("fc.weight"), "unknown key").of_key();
    let error = places.located(key.into());
    let excerpt = error.downcast_ref::<Place>().and_then(Place::excerpt);
    assert_eq!(under_mark(excerpt.expect("a line")), "\"fc.weight\"");
}

#[test]
fn keys_in_overrides_of_tables_and_lists_are_those_of_the_override() {
    let set = [
        "method.sweep=[1]",
        "method.sweep=[-1, -2]",
        "method.damping={ fc = 1 }",
    ];
    let places = Places::new(Path::new("c.toml"), NESTED, &set.map(str::to_owned));
    let method = || KeyPath::from("method");
    for (path, place) in [
        (
            method().key("sweep").index(1),
            "--set method.sweep=[-1, -2]",
        ),
        (method().key("sweep"), "--set method.sweep=[-1, -2]"),
        (
            method().key("damping").key("fc.weight"),
            "--set method.damping={ fc = 1 }",
        ),
        (method(), "c.toml:1"),
        (method().key("mixed.lists"), "c.toml:7"),
    ] {
        let error = places.located(KeyError::new(path, "why").into());
        let got = error.downcast_ref::<Place>().map(ToString::to_string);
        assert_eq!(got.as_deref(), Some(place));
    }
}

/// An error that another one keeps as its source is found there.
#[test]
fn sources_are_looked_through() {
    let places = Places::new(Path::new("c.toml"), TEXT, &[]);
    let source = KeyError::new("data.test.targets", "row 3");
    let error = anyhow!(influence_core::Error::dataset(source)).context("reading");
    let error = places.located(error);
    let text = "c.toml:14: reading: data.test.targets: row 3";
    assert!(format!("{error:#}").starts_with(text), "{error:#}");
}
