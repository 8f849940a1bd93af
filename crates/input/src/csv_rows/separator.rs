//! The separator of a line: declared, or guessed from the line until the columns are known.

/// Returns the separator that a line uses; `None` if it contains none of them.
///
/// Characters in quotes do not count. A semicolon always separates. A tab separates unless it stands next to a comma or
/// at an end of the line, where it is white space around a cell. Otherwise a comma separates.
pub(super) fn guess_separator(line: &[u8]) -> Option<u8> {
    let plain = mask_quotes(line);
    if plain.contains(&b';') {
        return Some(b';');
    }
    if has_separating_tab(&plain) {
        return Some(b'\t');
    }
    plain.contains(&b',').then_some(b',')
}

/// Tracks whether the next byte of a line is in a quoted cell.
#[derive(Debug, Default)]
pub(super) struct QuoteTracker {
    is_quoted: bool,
    /// The last byte that is not white space.
    last: Option<u8>,
}

impl QuoteTracker {
    pub(super) fn is_quoted(&self) -> bool {
        self.is_quoted
    }

    /// A quote opens a cell only after a separator, at the start of a line, or as the second half of a doubled one.
    pub(super) fn push(&mut self, byte: u8) {
        if byte == b'"' {
            let opens = matches!(self.last, None | Some(b',' | b';' | b'\t' | b'"'));
            self.is_quoted = !self.is_quoted && opens;
        }
        let is_order_mark = self.last.is_none() && matches!(byte, 0xef | 0xbb | 0xbf);
        if byte != b' ' && !is_order_mark {
            self.last = Some(byte);
        }
    }
}

/// Replaces what is in quotes by a letter.
fn mask_quotes(line: &[u8]) -> Vec<u8> {
    let mut quotes = QuoteTracker::default();
    line.iter()
        .map(|&byte| {
            let was_quoted = quotes.is_quoted();
            quotes.push(byte);
            if was_quoted || quotes.is_quoted() { b'x' } else { byte }
        })
        .collect()
}

fn has_separating_tab(plain: &[u8]) -> bool {
    let is_blank = |byte: &&u8| matches!(**byte, b' ' | b'\t');
    plain.iter().enumerate().filter(|(_, byte)| **byte == b'\t').any(|(at, _)| {
        let before = plain[..at].iter().rev().find(|byte| !is_blank(byte));
        let after = plain[at..].iter().find(|byte| !is_blank(byte));
        [before, after].iter().all(|byte| byte.is_some_and(|&byte| byte != b','))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_separator_of_a_line_is_found_outside_quotes() {
        for (line, expected) in [
            ("a,b", Some(b',')),
            ("1,5;2,5", Some(b';')),
            ("\"a; b\",c", Some(b',')),
            ("\"a, \"\"b\"\", c\";d", Some(b';')),
            ("Temp, °C\tHum", Some(b'\t')),
            ("a\t,\tb\t", Some(b',')),
            ("\ta", None),
            ("5\" pipe,b;c", Some(b';')),
            ("\u{feff}\"a; b\",c", Some(b',')),
            ("a", None),
            ("", None),
        ] {
            assert_eq!(guess_separator(line.as_bytes()), expected, "{line}");
        }
    }
}
