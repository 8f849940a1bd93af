use super::tensor::InputTensor;
use crate::ServeError;

/// The inputs of a request that are still to be read.
pub(super) struct RemainingInputs(Vec<InputTensor>);

impl RemainingInputs {
    pub(super) fn new(inputs: Vec<InputTensor>) -> Self {
        Self(inputs)
    }

    /// Renames an input that clients may send under another name.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        let named = self.0.iter_mut().filter(|input| input.name == from);
        named.for_each(|input| to.clone_into(&mut input.name));
    }

    /// Returns the input with this name and keeps it.
    ///
    /// # Errors
    /// [`ServeError::InvalidRequest`] if it is missing.
    pub(super) fn get(&self, name: &str) -> Result<&InputTensor, ServeError> {
        self.find(name).map(|index| &self.0[index])
    }

    /// Removes the input with this name and returns it.
    ///
    /// # Errors
    /// [`ServeError::InvalidRequest`] if it is missing.
    pub(super) fn take(&mut self, name: &str) -> Result<InputTensor, ServeError> {
        self.find(name).map(|index| self.0.swap_remove(index))
    }

    /// Checks that all inputs were removed. `input_names` are the names of the model's inputs.
    ///
    /// # Errors
    /// [`ServeError::InvalidRequest`] with the name of a remaining input.
    pub(super) fn check_empty(&self, input_names: &[String]) -> Result<(), ServeError> {
        let Some(unknown) = self.0.first() else { return Ok(()) };
        let reason = format!(
            "the model has no input {:?}; it has the inputs {}, frame",
            unknown.name,
            input_names.join(", ")
        );
        Err(ServeError::InvalidRequest(reason))
    }

    fn find(&self, name: &str) -> Result<usize, ServeError> {
        self.0.iter().position(|input| input.name == name).ok_or_else(|| {
            ServeError::InvalidRequest(format!(
                "there is neither an input {name:?} nor \"frame\": send one of them"
            ))
        })
    }
}
