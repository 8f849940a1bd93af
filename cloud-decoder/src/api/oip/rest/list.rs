use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};

/// A JSON list of at most `MAX` elements. An element of a few bytes of JSON occupies a multiple of them in memory, so
/// that a list that is only limited by the length of its JSON could fill the memory.
#[derive(Debug)]
pub(super) struct List<T, const MAX: usize>(pub(super) Vec<T>);

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

struct ListVisitor<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for ListVisitor<T, MAX> {
    type Value = List<T, MAX>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a list of at most {MAX} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<List<T, MAX>, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            if list.len() == MAX {
                return Err(A::Error::invalid_length(MAX + 1, &self));
            }
            list.push(element);
        }
        Ok(List(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_at_most_its_number_of_elements() {
        for (text, expected) in [("[]", &[][..]), ("[5]", &[5][..]), ("[5, -6]", &[5, -6][..])] {
            assert_eq!(serde_json::from_str::<List<i64, 2>>(text).unwrap().0, expected);
        }
        let error = serde_json::from_str::<List<i64, 2>>("[5, -6, 7, 8]").unwrap_err().to_string();
        assert!(error.contains("a list of at most 2 elements"), "{error}");
        for text in ["{}", "5", "null", "[true]"] {
            assert!(serde_json::from_str::<List<i64, 2>>(text).is_err(), "{text}");
        }
    }
}
