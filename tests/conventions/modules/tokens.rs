//! Rust source as words and signs. Comments, literals and lifetimes are left out.

/// The words and signs of `source` in order. A `::` is one sign; every other sign is one character.
pub(super) fn tokens(source: &str) -> Vec<&str> {
    let mut rest = source;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let length = ignored(rest).unwrap_or_else(|| {
            let length = token(rest);
            found.push(&rest[..length]);
            length
        });
        rest = &rest[length..];
    }
    found
}

/// Whether a token is a word, such as a name or a keyword.
pub(super) fn is_word(token: &str) -> bool {
    token.starts_with(starts_word)
}

/// The position after the bracket that closes the one at `open`, or the end where none does.
pub(super) fn after_group(tokens: &[&str], open: usize) -> usize {
    let mut depth = 0_usize;
    for (i, token) in tokens.iter().enumerate().skip(open) {
        match *token {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return i + 1;
        }
    }
    tokens.len()
}

fn token(rest: &str) -> usize {
    if rest.starts_with("::") {
        return 2;
    }
    match word(rest) {
        0 => rest.chars().next().map_or(0, char::len_utf8),
        length => length,
    }
}

/// The length of what is no token at the start of `rest`, if there is any.
fn ignored(rest: &str) -> Option<usize> {
    let first = rest.chars().next()?;
    if first.is_whitespace() {
        Some(first.len_utf8())
    } else if rest.starts_with("//") {
        Some(rest.find('\n').unwrap_or(rest.len()))
    } else if rest.starts_with("/*") {
        Some(block_comment(rest))
    } else if first == '\'' {
        Some(character_or_lifetime(rest))
    } else if first.is_ascii_digit() {
        Some(rest.find(|c| !continues_word(c)).unwrap_or(rest.len()))
    } else if let Some(name) = rest.strip_prefix("r#")
        && name.starts_with(starts_word)
    {
        Some(2) // The name of `r#type` is `type`.
    } else {
        string(rest)
    }
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

fn character_or_lifetime(rest: &str) -> usize {
    let mut characters = rest.char_indices().skip(1);
    let Some((_, first)) = characters.next() else {
        return rest.len();
    };
    if first == '\\' {
        characters.next(); // The escaped character may be a quote.
        return characters
            .find(|(_, c)| *c == '\'')
            .map_or(rest.len(), |(at, _)| at + 1);
    }
    match characters.next() {
        Some((at, '\'')) => at + 1,
        _ => 1 + word(&rest[1..]),
    }
}

/// The length of a string, with its prefix: `"…"`, `r#"…"#`, `b"…"`, `c"…"`.
fn string(rest: &str) -> Option<usize> {
    let prefix = rest
        .find(|c| !"bcr".contains(c))
        .filter(|length| *length <= 2)?;
    let raw = rest[..prefix].contains('r');
    let hashes = if raw {
        rest[prefix..].find(|c| c != '#')?
    } else {
        0
    };
    let body = rest[prefix + hashes..].strip_prefix('"')?;
    let start = prefix + hashes + 1;
    if raw {
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(
            body.find(&end)
                .map_or(rest.len(), |at| start + at + end.len()),
        );
    }
    let mut characters = body.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => _ = characters.next(),
            '"' => return Some(start + at + 1),
            _ => {}
        }
    }
    Some(rest.len())
}

fn word(rest: &str) -> usize {
    if rest.starts_with(starts_word) {
        rest.find(|c| !continues_word(c)).unwrap_or(rest.len())
    } else {
        0
    }
}

fn starts_word(character: char) -> bool {
    character == '_' || character.is_alphabetic()
}

fn continues_word(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}
