//! The elements of a tensor in JSON: flat or nested lists, row-major.

use std::fmt;

use axum::body::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, SeqAccess, Visitor},
};

use crate::api::oip::tensor::{InputData, MAX_TEXTS};

/// The flattened elements.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Elements {
    floats: Vec<f32>,
    texts: Vec<Bytes>,
    /// Whether there are elements of types that heads do not accept.
    has_other_types: bool,
}

impl Elements {
    /// Converts the elements to tensor data.
    pub(super) fn data(self) -> InputData {
        match (self.has_other_types, self.floats.is_empty(), self.texts.is_empty()) {
            (false, _, true) => InputData::Floats(self.floats),
            (false, true, false) => InputData::Texts(self.texts),
            _ => InputData::Unsupported,
        }
    }

    /// Returns the elements with every text decoded; `None` if a text cannot be decoded.
    pub(super) fn decoded(self, decode: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Option<Self> {
        let texts = self.texts.iter().map(|text| decode(text).map(Bytes::from)).collect::<Option<_>>()?;
        Some(Self { texts, ..self })
    }
}

impl<'de> Deserialize<'de> for Elements {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut elements = Self::default();
        deserializer.deserialize_seq(Collector(&mut elements))?;
        Ok(elements)
    }
}

/// A visitor that collects all elements.
struct Collector<'a>(&'a mut Elements);

impl<'de> DeserializeSeed<'de> for Collector<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Collector<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of numbers, strings or such lists")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Collector(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.0.floats.push(value as f32);
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.0.floats.push(value as f32);
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.0.floats.push(value as f32);
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        // A string of a few bytes of JSON takes many times its length. A number takes 4 bytes, like two of JSON.
        if self.0.texts.len() == MAX_TEXTS {
            return Err(E::custom(format_args!("a tensor with more than {MAX_TEXTS} strings")));
        }
        self.0.texts.push(Bytes::copy_from_slice(value.as_bytes()));
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.0.has_other_types = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(text: &str) -> InputData {
        serde_json::from_str::<Elements>(text).unwrap().data()
    }

    #[test]
    fn nested_lists_are_flattened_and_kinds_are_distinguished() {
        assert!(
            matches!(data("[[1, -2.5], [3e0, 4]]"), InputData::Floats(values) if values == [1.0, -2.5, 3.0, 4.0])
        );
        assert!(matches!(data(r#"["a", ["b"]]"#), InputData::Texts(texts) if texts == [&b"a"[..], b"b"]));
        assert!(matches!(data("[true]"), InputData::Unsupported));
        assert!(matches!(data(r#"[1, "a"]"#), InputData::Unsupported));
        assert!(matches!(data("[]"), InputData::Floats(values) if values.is_empty()));
        for text in ["1", "{}", "[null]", "[{}]", &"[".repeat(1000)] {
            assert!(serde_json::from_str::<Elements>(text).is_err(), "{text}");
        }
    }
}
