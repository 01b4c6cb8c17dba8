//! Names of layers, taken apart into text and numbers, so that `fc2` comes before `fc10`.

/// A piece of a name: numbers are ordered as numbers.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NamePart {
    Number(u64),
    Text(String),
}

pub(super) fn parts(name: &str) -> Vec<NamePart> {
    let mut parts: Vec<NamePart> = Vec::new();
    for piece in name.split_inclusive(|letter: char| !letter.is_ascii_digit()) {
        let digits = piece.trim_end_matches(|letter: char| !letter.is_ascii_digit());
        if let Ok(number) = digits.parse() {
            parts.push(NamePart::Number(number));
        }
        let rest = &piece[digits.len()..];
        match (parts.last_mut(), rest) {
            (_, "") => {}
            (Some(NamePart::Text(text)), rest) => text.push_str(rest),
            (_, rest) => parts.push(NamePart::Text(rest.to_owned())),
        }
    }
    parts
}
