//! What is said of each study and its pictures.

use influence_jobs::evaluation::Evaluation;
use serde_json::Value;

use super::table::about;

/// All studies that there are.
const STUDIES: [&str; 7] = [
    "lds",
    "loo",
    "pbrf",
    "tail-patch",
    "removal",
    "brittleness",
    "flip",
];

/// What a study is called in the list of contents, and above its section.
pub(super) fn title(study: &'static str) -> (&'static str, &'static str) {
    match study {
        "lds" => ("Subsets", "Random subsets: the linear datamodelling score"),
        "loo" => ("Leave-one-out", "Single points left out"),
        "pbrf" => (
            "Unlearning",
            "Single points unlearnt: the proximal Bregman response",
        ),
        "tail-patch" => ("Steps", "One step on each of the most helpful points"),
        "removal" => ("Removal", "The most helpful points removed"),
        "brittleness" => ("Brittleness", "How few points change a prediction"),
        "flip" => ("Wrong labels", "Wrong labels found again"),
        other => (other, other),
    }
}

/// What was done, in a sentence or two, with its counts as far as they are known.
pub(super) fn what_is_done(evaluation: &Evaluation) -> String {
    let told = |name: &str| counted(evaluation.about.get(name));
    let (seeds, tests) = (seeds(evaluation), told("test_points"));
    match evaluation.study {
        "lds" => format!(
            "Models were trained on {} random subsets of the training points, from {seeds} each. The score says how well a method orders the losses of {tests} test points over the subsets.",
            told("subsets")
        ),
        "loo" => format!(
            "The model was trained without each of {} points, from {seeds}. Actual changes are those of the losses of {tests} test points.",
            told("left_out")
        ),
        "pbrf" => format!(
            "Each of {} points was unlearnt from the trained weights, without noise and without a seed. Actual changes are those of the losses of {tests} test points.",
            told("unlearnt")
        ),
        "tail-patch" => format!(
            "From the trained weights, one step of gradient descent was taken on each of the {} training points that a method calls the most helpful ones to a test point. The score is how much the loss on the test point falls, the mean over these and over {tests} test points.",
            told("points")
        ),
        "removal" => format!(
            "The points that a method calls the most helpful ones to the mean of {tests} test points were removed, and the model trained from {seeds}. The better a method, the more the loss rises."
        ),
        "brittleness" => format!(
            "For each of {tests} test points, the points that a method calls the most helpful ones were removed, and the model trained from {seeds}. The better a method, the fewer it takes to change the prediction."
        ),
        "flip" => format!(
            "{} of {} training points were given a wrong label, and a model was trained on all of them. The better a ranking, the earlier it has the wrong labels.",
            told("flipped"),
            told("training_points")
        ),
        _ => String::new(),
    }
}

/// From how many seeds models were trained.
fn seeds(evaluation: &Evaluation) -> String {
    match counted(evaluation.about.get("seeds")).as_str() {
        "1" => "1 seed".into(),
        count => format!("{count} seeds"),
    }
}

/// What was minimised, how changes were predicted and from which seeds, as the study says it.
pub(super) fn terms(evaluation: &Evaluation) -> String {
    const NAMES: [&str; 5] = ["objective", "divisor", "seed", "seeds", "intervals"];
    let known = about(evaluation).into_iter();
    let known = known.filter(|(name, _)| NAMES.contains(&name.as_str()));
    let known = known.map(|(name, text)| format!("{}: {text}.", capitalised(&name)));
    known.collect::<Vec<_>>().join(" ")
}

/// The studies that were not done.
pub(super) fn left_out(found: &[Evaluation]) -> Option<String> {
    let done = |study: &str| found.iter().any(|evaluation| evaluation.study == study);
    let missing: Vec<&str> = STUDIES.into_iter().filter(|study| !done(study)).collect();
    (!missing.is_empty()).then(|| format!("Not asked for: {}.", missing.join(", ")))
}

/// With a capital letter.
pub(super) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters).collect()
}

/// A number, or how many entries a list has.
fn counted(value: Option<&Value>) -> String {
    match value {
        Some(Value::Array(entries)) => entries.len().to_string(),
        Some(Value::Number(number)) => number.to_string(),
        _ => "an unknown number of".into(),
    }
}

/// What the main statistic of a study is, for an axis.
pub(super) fn axis(study: &str, statistic: &str) -> String {
    let (_, count) = statistic.rsplit_once('_').unwrap_or_default();
    match study {
        "lds" => "linear datamodelling score".into(),
        "loo" | "pbrf" => "Pearson's correlation, test points pooled".into(),
        "tail-patch" => "mean fall of the loss".into(),
        "removal" => format!("rise of the mean test loss without {count} points"),
        "brittleness" => format!("share of test points changed without {count} points"),
        "flip" => "area under the curve".into(),
        _ => statistic.replace('_', " "),
    }
}

/// What a curve has across and up.
pub(super) fn axes_of_curve(study: &str) -> [String; 2] {
    let axes = match study {
        "removal" => ["points removed", "rise of the mean test loss"],
        "brittleness" => ["points removed", "share of test points changed"],
        "flip" => ["share of points inspected", "share of wrong labels found"],
        _ => ["", ""],
    };
    axes.map(str::to_owned)
}
