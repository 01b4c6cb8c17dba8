use std::ops::Range;

/// The most columns of a line that are shown.
const WIDTH: usize = 96;
/// The columns that are shown before a mark that is far to the right.
const BEFORE: usize = 24;

/// The number of the line that a byte is in, from 1.
pub(super) fn line_number(text: &str, byte: usize) -> usize {
    let before = text.as_bytes().get(..byte).unwrap_or(text.as_bytes());
    before.split(|&byte| byte == b'\n').count()
}

/// The line that some bytes begin in, with a mark below them; several lines.
pub(super) fn excerpt(text: &str, bytes: &Range<usize>) -> String {
    let number = line_number(text, bytes.start).to_string();
    let start = floor(text, bytes.start);
    let line_start = text[..start].rfind('\n').map_or(0, |end| end + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let marked = floor(text, bytes.end.max(start)).min(line_start + line.len());
    let column = text[line_start..start].chars().count();
    let length = text[start..marked.max(start)].chars().count().max(1);

    let skipped = if column + length > WIDTH {
        column.saturating_sub(BEFORE)
    } else {
        0
    };
    let shown = line.chars().skip(skipped).take(WIDTH);
    let shown: String = shown.map(plain).collect();
    let length = length.min(WIDTH - (column - skipped).min(WIDTH - 1));
    let margin = " ".repeat(number.len());
    let indent = " ".repeat(column - skipped);
    let mark = "^".repeat(length);
    let (left, right) = (
        if skipped > 0 { "..." } else { "" },
        if line.chars().count() > skipped + WIDTH {
            "..."
        } else {
            ""
        },
    );
    let indent = format!("{}{indent}", " ".repeat(left.len()));
    format!("{margin} |\n{number} | {left}{shown}{right}\n{margin} | {indent}{mark}")
}

/// What takes one column and moves no cursor.
fn plain(letter: char) -> char {
    match letter {
        '\t' => ' ',
        letter if letter.is_control() => char::REPLACEMENT_CHARACTER,
        letter => letter,
    }
}

/// The nearest boundary of a letter at or before a byte.
fn floor(text: &str, byte: usize) -> usize {
    let end = byte.min(text.len());
    (0..=end)
        .rev()
        .find(|&byte| text.is_char_boundary(byte))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_shown_and_marked() {
        let text = "seed = 0\n\tdamping = 0.1\nend";
        for (bytes, expected) in [
            (0..4, "  |\n1 | seed = 0\n  | ^^^^"),
            (10..17, "  |\n2 |  damping = 0.1\n  |  ^^^^^^^"),
            // What goes on over the end of the line is marked up to it, and what is empty once.
            (20..26, "  |\n2 |  damping = 0.1\n  |            ^^^"),
            (27..27, "  |\n3 | end\n  |    ^"),
        ] {
            assert_eq!(excerpt(text, &bytes), expected, "{bytes:?}");
        }
        assert_eq!(excerpt("", &(0..0)), "  |\n1 | \n  | ^");
        assert_eq!(
            excerpt("a\n", &(2..2)),
            "  |\n2 | \n  | ^",
            "the end of the text"
        );
    }

    #[test]
    fn long_lines_are_cut_around_the_mark() {
        let text = format!("{}\u{1b}[1mkey{}", "ä".repeat(300), "z".repeat(300));
        let start = text.find("key").expect("there");
        let excerpt = excerpt(&text, &(start..start + 3));
        let lines: Vec<&str> = excerpt.lines().collect();
        assert!(lines[1].chars().count() <= WIDTH + 10, "{excerpt}");
        let at = |line: &str, part: &str| {
            let byte = line.find(part).expect("there");
            line[..byte].chars().count()
        };
        assert_eq!(at(lines[1], "key"), at(lines[2], "^^^"), "{excerpt}");
        assert!(!excerpt.contains('\u{1b}'), "{excerpt}");
    }
}
