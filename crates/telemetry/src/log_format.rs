//! The lines of the log. One event is one line, and nothing in it but the formatter's own colours is more than text.

use std::{fmt, io};

use tracing_subscriber::{
    Registry,
    field::RecordFields,
    fmt::{
        FormatFields, Layer, MakeWriter,
        format::{DefaultFields, Format, Json, JsonFields, Writer},
        layer,
    },
};

use crate::printable::{self, EscapingWriter};

/// Returns the layer that writes lines for people.
pub(crate) fn text_lines<W>(writer: W, with_colour: bool) -> Layer<Registry, PrintableFields, Format, W>
where
    W: for<'writer> MakeWriter<'writer> + 'static,
{
    layer().with_writer(writer).with_ansi(with_colour).fmt_fields(PrintableFields::default())
}

/// Returns the layer that writes one JSON object per line.
pub(crate) fn json_lines<W>(writer: W) -> Layer<Registry, JsonFields, Format<Json>, PrintableJson<W>>
where
    W: for<'writer> MakeWriter<'writer> + 'static,
{
    layer().with_writer(PrintableJson(writer)).json()
}

/// Formats the message and the fields of events and spans like the default, and escapes all of it. The default
/// escapes only some characters, and only those of the message.
#[derive(Debug, Default)]
pub(crate) struct PrintableFields(DefaultFields);

impl<'writer> FormatFields<'writer> for PrintableFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        // The new writer has no colours, so that every control character in it comes from a value.
        self.0.format_fields(Writer::new(&mut EscapingWriter(&mut writer)), fields)
    }
}

/// Makes writers of lines of JSON.
pub(crate) struct PrintableJson<M>(M);

impl<'writer, M: MakeWriter<'writer>> MakeWriter<'writer> for PrintableJson<M> {
    type Writer = JsonWriter<M::Writer>;

    fn make_writer(&'writer self) -> Self::Writer {
        JsonWriter(self.0.make_writer())
    }
}

/// A writer that escapes lines of JSON. Each write is a whole line.
pub(crate) struct JsonWriter<W>(W);

impl<W: io::Write> io::Write for JsonWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(printable::escape_json(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{info_span, subscriber::with_default, warn};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    const SOURCE: &str = "gate\u{1b}[2J\nWARN all is well\u{9b}1m\u{202e}";

    /// A log that is kept in memory.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    /// Logs an event whose message, fields and span contain the hostile name.
    fn log_event() {
        let span = info_span!("capture", source = SOURCE);
        let _entered = span.enter();
        let error = io::Error::other(SOURCE);
        warn!(source = SOURCE, shown = %SOURCE, error = &error as &(dyn std::error::Error + 'static), "from {SOURCE}");
    }

    #[test]
    fn a_hostile_name_is_only_text_on_one_line() {
        for with_colour in [false, true] {
            let log = Log::default();
            let writer = log.clone();
            let lines = text_lines(move || writer.clone(), with_colour);
            with_default(tracing_subscriber::registry().with(lines), log_event);
            let text = log.text();
            assert_eq!(text.matches('\n').count(), 1, "{text:?}");
            assert_eq!(text.contains('\u{1b}'), with_colour, "{text:?}");
            for part in ["\u{1b}[2J", "\u{9b}", "\u{202e}"] {
                assert!(!text.contains(part), "{part:?}: {text:?}");
            }
            assert!(text.matches("gate\\").count() >= 4, "{text:?}");
        }
    }

    #[test]
    fn lines_of_json_contain_no_unsafe_characters() {
        let log = Log::default();
        let writer = log.clone();
        with_default(tracing_subscriber::registry().with(json_lines(move || writer.clone())), log_event);
        let text = log.text();
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        let line = text.trim_end_matches('\n');
        assert!(!line.chars().any(|character| character.is_control() || character == '\u{202e}'), "{line:?}");
        assert!(line.contains("\\u009b1m\\u202e"), "{line:?}");
    }
}
