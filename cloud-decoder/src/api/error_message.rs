//! The text of an error for the client that caused it.
//!
//! Errors name what the client has sent, which may be megabytes long. A gRPC client would then not even learn the status:
//! the message is a header, escaped and sent twice, and clients refuse headers of more than 8 or 16 kB.

use std::fmt::{self, Display, Write as _};

/// Maximum length of a message in bytes, without [`ENDING`].
const MAX_BYTES: usize = 1000;
/// The end of a message that was cut.
const ENDING: &str = "… (cut)";

/// Text up to a maximum length.
#[derive(Debug, Default)]
struct BoundedText(String);

impl fmt::Write for BoundedText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let rest = MAX_BYTES - self.0.len();
        self.0.push_str(&text[..text.floor_char_boundary(rest)]);
        if text.len() > rest { Err(fmt::Error) } else { Ok(()) }
    }
}

/// Returns the text of an error, cut if it is long. The rest of a long text is not even formatted.
pub(crate) fn error_message(error: &impl Display) -> String {
    let mut text = BoundedText::default();
    let is_complete = write!(text, "{error}").is_ok();
    let BoundedText(mut message) = text;
    if !is_complete {
        message.push_str(ENDING);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_the_maximum_length_is_complete() {
        let text = "x".repeat(MAX_BYTES);
        assert_eq!(error_message(&text), text);
    }

    #[test]
    fn a_longer_message_is_cut_between_two_characters() {
        // Each of these characters takes two bytes, after one of one byte.
        let text = format!("a{}", "é".repeat(MAX_BYTES));
        let message = error_message(&text);
        assert_eq!(message.len(), MAX_BYTES - 1 + ENDING.len());
        assert!(message.starts_with("aéé") && message.ends_with(ENDING), "{message}");
    }

    #[test]
    fn pieces_after_the_cut_are_left_out() {
        let message = error_message(&format_args!("{}{}", "é".repeat(MAX_BYTES), "b"));
        assert_eq!(message, format!("{}{ENDING}", "é".repeat(MAX_BYTES / 2)));
    }
}
