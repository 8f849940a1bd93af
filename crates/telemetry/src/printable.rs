//! Text from outside, made safe to print.
//!
//! Names, messages and the output of other programs may contain characters that a terminal obeys or that hide what
//! a line says: control characters, line separators, and characters that change the direction of text. They are
//! replaced by escapes such as `\n` and `\u{1b}`. Log lines are escaped by this crate; everything else that a
//! program prints goes through these functions.

use std::{
    borrow::Cow,
    fmt::{self, Display, Write},
};

/// Returns the text as one line: every unsafe character is escaped, line feeds too.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    replace(text, is_unsafe, |character| character.escape_default().to_string())
}

/// Returns the text with every unsafe character escaped except line feeds.
#[must_use]
pub fn escape_lines(text: &str) -> Cow<'_, str> {
    replace(text, is_unsafe_in_lines, |character| character.escape_default().to_string())
}

/// Returns a JSON document that means the same and contains no unsafe characters except line feeds. JSON itself
/// escapes only some of them.
#[must_use]
pub fn escape_json(json: &str) -> Cow<'_, str> {
    // All of them are in the range of one `\u` escape, and can only stand inside strings.
    replace(json, is_unsafe_in_lines, |character| format!("\\u{:04x}", u32::from(character)))
}

/// Returns the last message of a program that fails. The further lines of the error are indented, so that they
/// cannot be taken for messages of their own.
#[must_use]
pub fn error_message(program: &str, error: &dyn Display) -> String {
    let error = error.to_string();
    let lines: Vec<Cow<'_, str>> = error.lines().map(escape).collect();
    format!("{program}: {}", lines.join("\n  "))
}

/// Text for people that is written line by line with [`writeln!`]: every line that is written is escaped as a whole,
/// with the values in it.
#[derive(Debug, Default)]
pub struct PrintableLines(String);

impl PrintableLines {
    /// Writes one line, or a part of it if `line` does not end in a line feed. The macros [`write!`] and
    /// [`writeln!`] call this function.
    ///
    /// # Errors
    /// Returns none; the macros require a result.
    pub fn write_fmt(&mut self, line: fmt::Arguments<'_>) -> fmt::Result {
        let line = line.to_string();
        let (text, end) = line.strip_suffix('\n').map_or((&line[..], ""), |text| (text, "\n"));
        self.0.push_str(&escape(text));
        self.0.push_str(end);
        Ok(())
    }

    /// Returns the text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}

/// A writer that escapes what it passes on.
pub(crate) struct EscapingWriter<'a, W>(pub(crate) &'a mut W);

impl<W: Write> Write for EscapingWriter<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_str(&escape(text))
    }
}

/// Returns whether a terminal may obey the character, or show other characters in another place because of it.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_unsafe_in_lines(character: char) -> bool {
    character != '\n' && is_unsafe(character)
}

fn replace(text: &str, is_replaced: fn(char) -> bool, replacement: impl Fn(char) -> String) -> Cow<'_, str> {
    if !text.contains(is_replaced) {
        return Cow::Borrowed(text);
    }
    let mut replaced = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_replaced(character) {
            replaced.push_str(&replacement(character));
        } else {
            replaced.push(character);
        }
    }
    Cow::Owned(replaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clears the screen, moves back to the start of the line, and reverses the direction of text.
    const HOSTILE: &str = "gate\u{1b}[2J\n\r\t\u{7f}\u{9b}31m\u{2028}\u{202e}\u{2066}ü…";

    #[test]
    fn every_unsafe_character_becomes_visible() {
        assert_eq!(escape(HOSTILE), r"gate\u{1b}[2J\n\r\t\u{7f}\u{9b}31m\u{2028}\u{202e}\u{2066}ü…");
        assert!(matches!(escape("Tür 7: 42 µs"), Cow::Borrowed("Tür 7: 42 µs")));
        assert_eq!(escape_lines("a\u{7}\nb"), "a\\u{7}\nb");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let json = "{\n  \"name\": \"a\u{9b}\u{202e}\u{7f}b\"\n}";
        assert_eq!(escape_json(json), "{\n  \"name\": \"a\\u009b\\u202e\\u007fb\"\n}");
    }

    #[test]
    fn the_lines_of_an_error_cannot_be_taken_for_other_messages() {
        let message = error_message("edge-encoder", &"first\nedge-encoder: \u{1b}[32mall is well");
        assert_eq!(message, "edge-encoder: first\n  edge-encoder: \\u{1b}[32mall is well");
    }

    #[test]
    fn values_do_not_end_a_line() {
        let mut lines = PrintableLines::default();
        let name = "a\nspool: FAILED";
        writeln!(lines, "source {name}: captured {}", 7).unwrap();
        write!(lines, "  last error: ").unwrap();
        writeln!(lines, "\u{1b}c").unwrap();
        assert_eq!(lines.into_text(), "source a\\nspool: FAILED: captured 7\n  last error: \\u{1b}c\n");
    }
}
