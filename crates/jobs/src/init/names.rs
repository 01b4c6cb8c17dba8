//! Names of layers, taken apart into text and numbers, so that `fc2` comes before `fc10`.

/// A piece of a name: numbers are ordered as numbers.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Number(u64),
    Text(String),
}

pub(super) fn parts(name: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for piece in name.split_inclusive(|letter: char| !letter.is_ascii_digit()) {
        let digits = piece.trim_end_matches(|letter: char| !letter.is_ascii_digit());
        if let Ok(number) = digits.parse() {
            parts.push(Part::Number(number));
        }
        let rest = &piece[digits.len()..];
        match (parts.last_mut(), rest) {
            (_, "") => {}
            (Some(Part::Text(text)), rest) => text.push_str(rest),
            (_, rest) => parts.push(Part::Text(rest.to_owned())),
        }
    }
    parts
}
