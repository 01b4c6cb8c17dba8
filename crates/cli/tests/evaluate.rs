//! `influence evaluate`: predictions against retraining of a model whose truth is known.

#[path = "support/npy.rs"]
mod npy;
#[path = "support/program.rs"]
mod program;

use std::{fs, path::PathBuf, process::Output};

use serde_json::{Value, json};

const POINTS: usize = 60;
const TESTS: usize = 9;
const INPUTS: usize = 4;

/// Logistic regression with weight decay, trained on all points at once until it has converged.
const CONFIG: &str = r#"# A model of one layer.
precision = "f64"
[model]
weights = "model.safetensors"
loss = "cross-entropy"
layers = [{ kind = "linear", name = "fc", outputs = 3 }]
[data]
train = { inputs = "x.npy", targets = "y.npy" }
test = { inputs = "xt.npy", targets = "yt.npy" }
[train]
optimiser = "sgd"
momentum = 0.9
weight_decay = 0.05
learning_rate = 0.4
epochs = 400
batch = 60
[method]
name = "direct" # exact
damping = "weight-decay" # for a model of one layer
[compute]
threads = 1
"#;

/// Inputs and classes of three overlapping classes.
fn points(points: usize, phase: f64) -> impl Iterator<Item = ([f64; INPUTS], usize)> {
    let class = |point: usize| (point * 7 + point / 5) % 3;
    let number = move |point: usize, column: usize| {
        let place = (point * INPUTS + column) as f64;
        let noise = (place * 1.7 + phase).sin() * (place * 0.61).cos();
        noise + f64::from(u8::from(class(point) == column))
    };
    let point = move |point| {
        let inputs = std::array::from_fn(|column| number(point, column));
        (inputs, class(point))
    };
    (0..points).map(point)
}

struct Folder(tempfile::TempDir);

impl Folder {
    /// Three overlapping classes, and the model trained.
    fn trained() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        for (inputs, targets, points, phase) in [
            ("x.npy", "y.npy", POINTS, 0.3),
            ("xt.npy", "yt.npy", TESTS, 1.9),
        ] {
            let (numbers, classes): (Vec<_>, Vec<_>) = self::points(points, phase).unzip();
            let classes: Vec<i64> = classes
                .into_iter()
                .map(|class| i64::try_from(class).expect("a class"))
                .collect();
            let points = points as u64;
            npy::write(
                &folder.path(inputs),
                &numbers.concat(),
                &[points, INPUTS as u64],
            );
            npy::write(&folder.path(targets), &classes, &[points]);
        }
        fs::write(folder.path("config.toml"), CONFIG).expect("written");
        folder.influence(&["train", "config.toml"]);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn outcome(&self, arguments: &[&str]) -> Output {
        program::outcome(self.0.path(), arguments)
    }

    fn influence(&self, arguments: &[&str]) -> String {
        program::influence(self.0.path(), arguments)
    }

    /// The first study that is evaluated.
    fn evaluated(&self, arguments: &[&str]) -> Value {
        let all = [&["evaluate", "config.toml", "--format", "json"], arguments].concat();
        let mut found: Value = serde_json::from_str(&self.influence(&all)).expect("JSON");
        found["studies"][0].take()
    }
}

/// A number of the row of a method.
fn number(study: &Value, method: &str, statistic: &str) -> f64 {
    let rows = study["findings"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["name"] == method);
    let row = row.unwrap_or_else(|| panic!("{method} in {study}"));
    let interval = &row["statistics"][statistic];
    let [value, low, high] = ["value", "low", "high"].map(|end| interval[end].as_f64());
    let value = value.unwrap_or_else(|| panic!("{statistic} in {row}"));
    assert!(
        low <= Some(value) && Some(value) <= high,
        "{statistic} in {row}"
    );
    value
}

/// The sign, the divisor and the constant of weight decay: a wrong one of them fails here.
#[test]
fn leaving_points_out_of_a_convex_model_is_predicted() {
    let folder = Folder::trained();
    let study = folder.evaluated(&["--loo", "16"]);
    let direct = |statistic| number(&study, "direct", statistic);
    for statistic in ["pearson", "spearman", "pooled_pearson"] {
        assert!(direct(statistic) > 0.99, "{statistic}: {study}");
    }
    for statistic in ["slope", "pooled_slope"] {
        // Above 1 by the leverage of the points.
        assert!(
            (1.0..1.25).contains(&direct(statistic)),
            "{statistic}: {study}"
        );
    }
    for baseline in ["gradient dot product", "nearest inputs", "random"] {
        assert!(
            number(&study, baseline, "pooled_pearson") < 0.95,
            "{baseline}: {study}"
        );
    }
    // What trainings begin at is part of what they give.
    let again = [
        "train",
        "config.toml",
        "--overwrite",
        "--set",
        "train.epochs=9",
    ];
    folder.influence(&again);
    let other = folder.outcome(&["evaluate", "config.toml", "--loo", "16"]);
    let refusal = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(
        other.status.code() == Some(2) && refusal.contains("beginning"),
        "{refusal}"
    );
    assert_eq!(
        study["about"]["objective"],
        "mean loss of the points that are kept, and weight decay"
    );
}

#[test]
fn subsets_are_trained_once_and_rate_every_method() {
    let folder = Folder::trained();
    let halves = ["--lds", "12", "--seeds", "2", "--rows", "6"];
    let share = |share| {
        [
            &["evaluate", "config.toml"][..],
            &halves,
            &["--share", share],
        ]
        .concat()
    };
    folder.influence(&share("0/2"));
    folder.influence(&share("1/2"));
    // Whatever is left to train would change with this.
    let study = folder.evaluated(&halves);
    assert!(number(&study, "direct", "lds") > 0.9, "{study}");
    assert!(number(&study, "random", "lds") < 0.6, "{study}");
    assert_eq!(study["about"]["test_points"], 6);
    assert!(
        study["about"]["ceiling"]["seed_with_seed"].as_f64() > Some(0.999),
        "{study}"
    );
    let elsewhere = [&halves[..], &["--first-seed", "40", "--in-place"]].concat();
    let elsewhere = folder.evaluated(&elsewhere);
    assert_eq!(elsewhere["about"]["seeds"], json!([40, 41]));
    assert_eq!(
        elsewhere["about"]["divisor"],
        "n: sum of the m influences / n"
    );
    assert!(number(&elsewhere, "direct", "lds") > 0.9, "{elsewhere}");
    let sweep = [&halves[..], &["--sweep", "--damping", "0.05,50", "--write"]].concat();
    let swept = folder.evaluated(&sweep);
    let rows = swept["findings"].as_array().expect("rows");
    let dampings: Vec<&Value> = rows.iter().map(|row| &row["damping"]).take(3).collect();
    // The configured one is among those of the sweep.
    assert_eq!(dampings, [&json!("0.05"), &json!("50"), &Value::Null]);
    let written = fs::read_to_string(folder.path("config.toml")).expect("written");
    let expected = CONFIG.replace("damping = \"weight-decay\" #", "damping = 0.05 #");
    assert_eq!(written, expected);
    let ask = [&["evaluate", "config.toml"][..], &halves].concat();
    let said = |folder: &Folder| {
        let outcome = folder.outcome(&ask);
        assert!(outcome.status.success());
        String::from_utf8_lossy(&outcome.stderr).into_owned()
    };
    assert!(!said(&folder).contains("gives another model"));
    let shorter = ["--overwrite", "--set", "train.epochs=3"];
    folder.influence(&[&["train", "config.toml"][..], &shorter].concat());
    let warning = said(&folder);
    assert!(
        warning.contains("with the seed 0, gives another model"),
        "{warning}"
    );
    let other = folder.outcome(&[&share("0/2")[..], &["--set", "train.epochs=3"]].concat());
    let refusal = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(
        other.status.code() == Some(2) && refusal.contains("epochs"),
        "{refusal}"
    );
}

#[test]
fn unlearning_a_point_is_what_influences_predict() {
    let folder = Folder::trained();
    let study = folder.evaluated(&["--pbrf", "12"]);
    assert_eq!(study["study"], "pbrf");
    let of = |study: &Value, statistic| number(study, "direct", statistic);
    assert!(of(&study, "pooled_pearson") > 0.99, "{study}");
    let plain = of(&study, "pooled_slope");
    let leverage = ["--pbrf", "12", "--set", "method.leverage=true"];
    let corrected = of(&folder.evaluated(&leverage), "pooled_slope");
    assert!(
        (corrected - 1.0).abs() < 0.05 && plain > 1.1,
        "{plain} {corrected}"
    );
    let dot = number(&study, "gradient dot product", "pooled_pearson");
    assert!(dot < 0.98, "{dot}");
}

#[test]
fn what_is_removed_is_missed_and_wrong_labels_are_found() {
    let folder = Folder::trained();
    let study = folder.evaluated(&["--removal", "4,12", "--seeds", "1"]);
    let rise = |method, count| number(&study, method, count);
    assert!(
        rise("direct", "without_12") > rise("direct", "without_4"),
        "{study}"
    );
    assert!(
        rise("direct", "without_12") > rise("random", "without_12"),
        "{study}"
    );
    let study = folder.evaluated(&["--brittleness", "2,25", "--seeds", "1", "--rows", "4"]);
    let changed = |method, count| number(&study, method, count);
    assert!(
        changed("direct", "changed_without_25") > changed("direct", "changed_without_2"),
        "{study}"
    );
    let smallest = &study["about"]["smallest"]["direct, damping 0.05"];
    assert_eq!(smallest.as_array().map(Vec::len), Some(4), "{study}");
    let study = folder.evaluated(&["--flip", "0.1"]);
    assert_eq!(study["about"]["flipped"], 6);
    for ranking in [
        "loss",
        "margin",
        "self-influence, direct",
        "mean influence, direct",
    ] {
        assert!(number(&study, ranking, "auc") > 0.8, "{ranking}: {study}");
    }
    assert!(
        number(&study, "mean influence, random", "auc") < 0.8,
        "{study}"
    );
}

/// Numbers and charts of a page and of files are those of the studies.
#[test]
fn a_page_shows_every_study_with_its_numbers() {
    let folder = Folder::trained();
    let asked = "evaluate config.toml --format json --lds 9 --loo 6 --pbrf 4 --tail-patch 2 \
        --removal 3,9 --brittleness 2 --flip 0.1 --rows 4 --seeds 2 --html page.html --plots charts --png";
    let asked: Vec<&str> = asked.split_whitespace().collect();
    let found: Value = serde_json::from_str(&folder.influence(&asked)).expect("JSON");
    let page = fs::read_to_string(folder.path("page.html")).expect("a page");
    let page = page.replace('\u{a0}', " ");
    for study in found["studies"].as_array().expect("studies") {
        let (name, findings) = (study["study"].as_str(), study["findings"].as_array());
        let section = format!("<section id=\"{}\"", name.expect("a name"));
        let (_, section) = page.split_once(&section).expect("a section");
        let (section, _) = section.split_once("</section>").expect("its end");
        for finding in findings.expect("findings") {
            let method = finding["name"].as_str().expect("a method");
            assert!(
                section.contains(&format!(">{method}")),
                "{method}: {section}"
            );
            // Four decimals where a correlation is nearly 1.
            let value = &finding["statistics"].as_object().expect("statistics");
            for (statistic, one) in *value {
                let value = one["value"].as_f64().expect("a number");
                let cells = [format!("<td>{value:.3} ["), format!("<td>{value:.4} [")];
                let zero = value.abs() < 5e-4;
                assert!(
                    zero || cells.iter().any(|cell| section.contains(cell)),
                    "{method} {statistic} {value}: {section}"
                );
            }
        }
        assert!(
            section.contains("<svg") && !section.contains("NaN"),
            "{section}"
        );
    }
    assert!(page.contains("ceiling") && !page.contains("Not asked for"));
    let svg = |name: &str| {
        let path = folder.path("charts").join(name).with_extension("svg");
        assert!(path.with_extension("png").exists(), "{name}");
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    // A dot for each of 4 test points with each point that is left out.
    for (name, dots) in [
        ("loo-scatter-direct", 4 * 6),
        ("pbrf-scatter-direct", 4 * 4),
    ] {
        assert_eq!(svg(name).matches("<circle").count(), dots, "{name}");
    }
    for name in [
        "lds",
        "loo",
        "removal-curve",
        "brittleness-curve",
        "flip-curve",
    ] {
        assert!(svg(name).contains("direct, λ = 0.05"), "{name}");
    }
    let curve = &found["studies"][4]["findings"][0]["curve"];
    let rise = &found["studies"][4]["findings"][0]["statistics"]["without_9"];
    assert_eq!(curve[1]["at"], 9.0);
    assert_eq!(curve[1]["value"], rise["value"]);
    assert_eq!(
        curve[1]["interval"],
        serde_json::json!([rise["low"], rise["high"]])
    );
    let found_again = &found["studies"][6]["findings"][0]["curve"];
    let ends = [0, 50].map(|place| &found_again[place]["value"]);
    assert_eq!(ends, [0.0, 1.0], "{found_again}");
    // A page is replaced, charts and files of others are not.
    for (changed, part) in [
        (&["--html", "config.toml"][..], "is not a report"),
        (&["--html", "page.html", "--plots", "charts"], "--overwrite"),
    ] {
        let refused =
            folder.outcome(&[&["evaluate", "config.toml", "--loo", "6"], changed].concat());
        let refusal = String::from_utf8_lossy(&refused.stderr);
        assert!(
            refused.status.code() == Some(2) && refusal.contains(part),
            "{refusal}"
        );
    }
}

#[test]
fn what_cannot_be_evaluated_is_refused() {
    let folder = Folder::trained();
    for (arguments, part) in [
        (&[][..], "--lds"),
        (&["--lds", "2"], "3 subsets or more"),
        (&["--lds", "9", "--fraction", "0.001"], "would keep 0 of 60"),
        (&["--loo", "60"], "fewer than the 60 training points"),
        (&["--loo", "4", "--rows", "10"], "there are 9 test points"),
        (&["--removal", "60"], "there are 60 training points"),
        (&["--removal", "0"], "nothing would be removed"),
        (&["--flip", "1.5"], "a number between 0 and 1"),
    ] {
        let outcome = folder.outcome(&[&["evaluate", "config.toml"], arguments].concat());
        let refusal = String::from_utf8_lossy(&outcome.stderr);
        assert_eq!(outcome.status.code(), Some(2), "{arguments:?}: {refusal}");
        assert!(refusal.contains(part), "{arguments:?}: {refusal}");
    }
}

/// A softmax regression, written out.
struct ByHand {
    /// A row for each class, the bias last.
    map: [[f64; INPUTS + 1]; 3],
}

impl ByHand {
    fn read(folder: &Folder) -> Self {
        let bytes = fs::read(folder.path("model.safetensors")).expect("weights");
        let file = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
        let numbers = |name: &str| -> Vec<f64> {
            let data = file.tensor(name).expect("a tensor").data();
            let numbers = data.as_chunks::<4>().0.iter();
            numbers
                .map(|it| f64::from(f32::from_le_bytes(*it)))
                .collect()
        };
        let (weight, bias) = (numbers("fc.weight"), numbers("fc.bias"));
        let number = |class: usize, input: usize| match input {
            INPUTS => bias[class],
            _ => weight[class * INPUTS + input],
        };
        Self {
            map: std::array::from_fn(|class| std::array::from_fn(|input| number(class, input))),
        }
    }

    /// The loss of a point, and its gradient.
    fn loss(&self, (input, class): &([f64; INPUTS + 1], usize)) -> (f64, [[f64; INPUTS + 1]; 3]) {
        let product = |row: &[f64; INPUTS + 1]| -> f64 {
            row.iter().zip(input).map(|(a, b)| a * b).sum::<f64>().exp()
        };
        let exponentials = self.map.each_ref().map(product);
        let total: f64 = exponentials.iter().sum();
        let gradient = std::array::from_fn(|row| {
            let own = f64::from(u8::from(row == *class));
            input.map(|number| (exponentials[row] / total - own) * number)
        });
        (-(exponentials[*class] / total).ln(), gradient)
    }

    /// After a step.
    fn moved(&self, rate: f64, gradient: &[[f64; INPUTS + 1]; 3]) -> Self {
        let entry =
            |class: usize, input: usize| self.map[class][input] - rate * gradient[class][input];
        Self {
            map: std::array::from_fn(|class| std::array::from_fn(|input| entry(class, input))),
        }
    }
}

/// The gradient dot product chooses the points, and each step is taken by itself.
#[test]
fn a_step_on_each_helpful_point_lowers_the_loss_as_it_does_by_hand() {
    const RATE: f64 = 0.4;
    let folder = Folder::trained();
    let study = folder.evaluated(&["--tail-patch", "3"]);
    assert_eq!(study["study"], "tail-patch");
    let model = ByHand::read(&folder);
    let appended = |(input, class): ([f64; INPUTS], usize)| {
        (
            std::array::from_fn(|place| *input.get(place).unwrap_or(&1.0)),
            class,
        )
    };
    let train: Vec<_> = points(POINTS, 0.3).map(appended).collect();
    let mut falls = Vec::new();
    for test in points(TESTS, 1.9).map(appended) {
        let (before, own) = model.loss(&test);
        let product = |point| -> f64 {
            let (_, gradient) = model.loss(point);
            let pairs = gradient.iter().flatten().zip(own.iter().flatten());
            pairs.map(|(a, b)| a * b).sum()
        };
        let mut order: Vec<usize> = (0..POINTS).collect();
        order.sort_by(|&a, &b| product(&train[b]).total_cmp(&product(&train[a])));
        for &point in &order[..3] {
            let moved = model.moved(RATE, &model.loss(&train[point]).1);
            falls.push(before - moved.loss(&test).0);
        }
    }
    let expected = falls.iter().sum::<f64>() / falls.len() as f64;
    let products = number(&study, "gradient dot product", "fall");
    assert!(
        (products / expected - 1.0).abs() < 1e-4,
        "{products} {expected}"
    );
    let [direct, random] = ["direct", "random"].map(|method| number(&study, method, "fall"));
    assert!(direct > 0.0 && random < direct / 2.0, "{study}");
    let refused = folder.outcome(&["evaluate", "config.toml", "--tail-patch", "61"]);
    let refusal = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        refusal.contains("there are 60 training points"),
        "{refusal}"
    );
}
