//! The values of parameters of gRPC; `rest/parameters.rs` has those of JSON. An unusable value is refused with the name of
//! the parameter: if it were ignored, a request could, for example, run without the timeout that its client has set.

use std::collections::HashMap;

use lopside_proto::inference::{InferParameter, infer_parameter::ParameterChoice};

use crate::ServeError;

/// Reads the parameters of a message or of a part of it. A parameter without a value is the same as none.
pub(super) trait ReadParameters {
    /// Returns a parameter that is a non-negative integer; `None` if it is missing.
    ///
    /// # Errors
    /// [`ServeError::InvalidRequest`] with the name of the parameter.
    fn integer(&self, name: &str) -> Result<Option<u64>, ServeError>;

    /// Returns a parameter that is true or false; `None` if it is missing.
    ///
    /// # Errors
    /// [`ServeError::InvalidRequest`] with the name of the parameter.
    fn boolean(&self, name: &str) -> Result<Option<bool>, ServeError>;
}

impl ReadParameters for HashMap<String, InferParameter> {
    fn integer(&self, name: &str) -> Result<Option<u64>, ServeError> {
        let number = match self.get(name).and_then(|parameter| parameter.parameter_choice.as_ref()) {
            None => return Ok(None),
            Some(ParameterChoice::Int64Param(number)) => u64::try_from(*number).ok(),
            Some(ParameterChoice::Uint64Param(number)) => Some(*number),
            Some(ParameterChoice::StringParam(text)) => text.parse().ok(),
            Some(ParameterChoice::BoolParam(_) | ParameterChoice::DoubleParam(_)) => None,
        };
        number.map(Some).ok_or_else(|| not_an_integer(name))
    }

    fn boolean(&self, name: &str) -> Result<Option<bool>, ServeError> {
        match self.get(name).and_then(|parameter| parameter.parameter_choice.as_ref()) {
            None => Ok(None),
            Some(ParameterChoice::BoolParam(value)) => Ok(Some(*value)),
            Some(_) => Err(not_a_boolean(name)),
        }
    }
}

/// Returns the error for a parameter that is not a non-negative integer.
pub(super) fn not_an_integer(name: &str) -> ServeError {
    ServeError::InvalidRequest(format!("the parameter {name:?} must be a non-negative integer"))
}

/// Returns the error for a parameter that is neither true nor false.
pub(super) fn not_a_boolean(name: &str) -> ServeError {
    ServeError::InvalidRequest(format!("the parameter {name:?} must be true or false"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(choice: ParameterChoice) -> HashMap<String, InferParameter> {
        [("timeout".to_owned(), InferParameter { parameter_choice: Some(choice) })].into()
    }

    fn assert_refused<T: std::fmt::Debug>(result: Result<Option<T>, ServeError>) {
        let error = result.unwrap_err().to_string();
        assert!(error.contains("\"timeout\""), "{error}");
    }

    #[test]
    fn integers_are_read_and_everything_else_is_refused_with_the_name() {
        assert_eq!(parameters(ParameterChoice::Int64Param(7)).integer("priority"), Ok(None));
        assert_eq!(parameters(ParameterChoice::Int64Param(7)).integer("timeout"), Ok(Some(7)));
        assert_eq!(parameters(ParameterChoice::Uint64Param(7)).integer("timeout"), Ok(Some(7)));
        assert_eq!(parameters(ParameterChoice::StringParam("7".into())).integer("timeout"), Ok(Some(7)));
        for choice in [
            ParameterChoice::Int64Param(-1),
            ParameterChoice::StringParam("soon".into()),
            ParameterChoice::BoolParam(true),
            ParameterChoice::DoubleParam(1.0),
        ] {
            assert_refused(parameters(choice).integer("timeout"));
        }
    }

    #[test]
    fn booleans_are_read_and_everything_else_is_refused_with_the_name() {
        assert_eq!(parameters(ParameterChoice::BoolParam(false)).boolean("timeout"), Ok(Some(false)));
        assert_refused(parameters(ParameterChoice::Int64Param(1)).boolean("timeout"));
    }
}
