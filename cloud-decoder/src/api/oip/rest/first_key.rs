use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

/// The first key of a JSON object in the order of texts; `None` for an object without keys. Everything else of the
/// object is skipped and not stored.
#[derive(Debug, Default)]
pub(super) struct FirstKey(pub(super) Option<String>);

impl<'de> Deserialize<'de> for FirstKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FirstKeyVisitor)
    }
}

struct FirstKeyVisitor;

impl<'de> Visitor<'de> for FirstKeyVisitor {
    type Value = FirstKey;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FirstKey, A::Error> {
        let mut first: Option<String> = None;
        while let Some((key, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
            if first.as_ref().is_none_or(|first| key < *first) {
                first = Some(key);
            }
        }
        Ok(FirstKey(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_key_is_kept() {
        for (text, expected) in [("{}", None), (r#"{"b": [1, {"a": 2}], "aa": 3, "c": null}"#, Some("aa"))] {
            assert_eq!(serde_json::from_str::<FirstKey>(text).unwrap().0.as_deref(), expected);
        }
        for text in ["[]", "5", "null", r#"{"a"}"#] {
            assert!(serde_json::from_str::<FirstKey>(text).is_err(), "{text}");
        }
    }
}
