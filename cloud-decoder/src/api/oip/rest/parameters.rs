//! The parameters of a JSON request.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::{
    ServeError,
    api::oip::parameters::{not_a_boolean, not_an_integer},
};

/// The parameters of a request, an input or an output that the server reads. Others are skipped and not stored: a list
/// of numbers, for example, would occupy a multiple of its length.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct JsonParameters {
    pub(super) timeout: Parameter,
    pub(super) priority: Parameter,
    pub(super) binary_data_output: Parameter,
    pub(super) binary_data_size: Parameter,
    pub(super) content_type: Parameter,
    pub(super) binary_data: Parameter,
    pub(super) classification: Parameter,
}

/// The value of a parameter.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Parameter {
    /// The parameter is missing, or null.
    #[default]
    Unset,
    Boolean(bool),
    Integer(u64),
    Text(String),
    /// A value that no parameter has, such as a fraction or a list.
    Unusable,
}

impl Parameter {
    /// Returns a non-negative integer; `None` if the parameter is missing.
    ///
    /// # Errors
    /// [`ServeError::InvalidRequest`] with the name of the parameter.
    pub(super) fn integer(&self, name: &str) -> Result<Option<u64>, ServeError> {
        match self {
            Self::Unset => Ok(None),
            Self::Integer(number) => Ok(Some(*number)),
            _ => Err(not_an_integer(name)),
        }
    }

    /// Returns true or false; `None` if the parameter is missing.
    ///
    /// # Errors
    /// [`ServeError::InvalidRequest`] with the name of the parameter.
    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, ServeError> {
        match self {
            Self::Unset => Ok(None),
            Self::Boolean(value) => Ok(Some(*value)),
            _ => Err(not_a_boolean(name)),
        }
    }
}

impl<'de> Deserialize<'de> for Parameter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ParameterVisitor)
    }
}

struct ParameterVisitor;

impl<'de> Visitor<'de> for ParameterVisitor {
    type Value = Parameter;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the value of a parameter")
    }

    fn visit_unit<E>(self) -> Result<Parameter, E> {
        Ok(Parameter::Unset)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Parameter, E> {
        Ok(Parameter::Boolean(value))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Parameter, E> {
        Ok(Parameter::Integer(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Parameter, E> {
        Ok(u64::try_from(number).map_or(Parameter::Unusable, Parameter::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Parameter, E> {
        Ok(Parameter::Unusable)
    }

    fn visit_str<E>(self, text: &str) -> Result<Parameter, E> {
        Ok(Parameter::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Parameter, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Parameter::Unusable)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parameter, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Parameter::Unusable)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parameters(value: Value) -> JsonParameters {
        serde_json::from_value(value).unwrap()
    }

    fn timeout(value: &Value) -> Parameter {
        parameters(json!({ "timeout": value })).timeout
    }

    #[test]
    fn integers_are_read_and_everything_else_is_refused_with_the_name() {
        assert_eq!(timeout(&json!(7)).integer("timeout"), Ok(Some(7)));
        assert_eq!(timeout(&json!(null)).integer("timeout"), Ok(None));
        assert_eq!(parameters(json!({ "timeout": 7 })).priority.integer("priority"), Ok(None));
        for value in [json!("1"), json!(-1), json!(1.5), json!(true), json!([1]), json!({ "a": [1] })] {
            let error = timeout(&value).integer("timeout").unwrap_err().to_string();
            assert!(error.contains("\"timeout\""), "{error}");
        }
    }

    #[test]
    fn booleans_are_read_and_everything_else_is_refused_with_the_name() {
        assert_eq!(timeout(&json!(true)).boolean("timeout"), Ok(Some(true)));
        assert_eq!(timeout(&json!(null)).boolean("timeout"), Ok(None));
        for value in [json!("true"), json!(1), json!([])] {
            let error = timeout(&value).boolean("timeout").unwrap_err().to_string();
            assert!(error.contains("\"timeout\""), "{error}");
        }
    }

    #[test]
    fn unknown_parameters_are_skipped() {
        let unknown = parameters(json!({ "a": [[], {}, 1.5], "b": { "c": "d" }, "timeout": "x" }));
        assert_eq!(unknown.timeout, Parameter::Text("x".into()));
    }
}
