use super::tensor::InputTensor;
use crate::ServeError;

/// A request's inputs that are still to be taken.
pub(super) struct Inputs(Vec<InputTensor>);

impl Inputs {
    pub(super) fn new(inputs: Vec<InputTensor>) -> Self {
        Self(inputs)
    }

    /// An input that may be called by another name as well.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        let named = self.0.iter_mut().filter(|input| input.name == from);
        named.for_each(|input| to.clone_into(&mut input.name));
    }

    /// The input of this name, which stays.
    ///
    /// # Errors
    /// [`ServeError::Request`] when there is none.
    pub(super) fn get(&self, name: &str) -> Result<&InputTensor, ServeError> {
        self.find(name).map(|at| &self.0[at])
    }

    /// The input of this name.
    ///
    /// # Errors
    /// [`ServeError::Request`] when there is none.
    pub(super) fn take(&mut self, name: &str) -> Result<InputTensor, ServeError> {
        self.find(name).map(|at| self.0.swap_remove(at))
    }

    /// Whether all were taken; of a model that knows these names.
    ///
    /// # Errors
    /// [`ServeError::Request`] naming one that was not.
    pub(super) fn none_left(&self, known: &[String]) -> Result<(), ServeError> {
        let Some(unknown) = self.0.first() else { return Ok(()) };
        let reason = format!("the model has no input {:?}; it has {}, frame", unknown.name, known.join(", "));
        Err(ServeError::Request(reason))
    }

    fn find(&self, name: &str) -> Result<usize, ServeError> {
        let missing = || ServeError::Request(format!("there is no input {name:?}, and no \"frame\""));
        self.0.iter().position(|input| input.name == name).ok_or_else(missing)
    }
}
