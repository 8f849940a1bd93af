//! The ONNX models of a bundle. A bundle is complete in its folder, so a model must contain all of its values.
//!
//! ONNX allows a tensor to keep its values in another file (`data_location = EXTERNAL`), whose path the model names.
//! A runtime opens that path, inside the bundle or not, and the values come back as the output of the head. Such
//! models are refused here, wherever the tensor is: among the initializers, dense or sparse, in the attributes of nodes,
//! in the graphs of nodes such as `If` and `Loop`, in functions, and in the description of a training.
//!
//! The scan knows the messages that lead to a tensor, by the numbers of their fields, and skips everything else. It
//! does not build the model, and its memory does not depend on it.

use std::path::Path;

use crate::{
    BundleError, FileRef, files,
    wire_format::{Field, FieldValue, Fields, WireError},
};

/// Maximum depth of messages in messages, which is that of the runtimes.
const MAX_DEPTH: usize = 100;
/// Maximum length of a tensor's name in an error, in bytes.
const MAX_SHOWN_BYTES: usize = 100;
/// The fifth to eighth byte of a model in the format of ONNX Runtime, which it prefers to ONNX.
const ORT_IDENTIFIER: &[u8; 4] = b"ORTM";

/// Numbers of the fields of a `TensorProto`.
const TENSOR_NAME: u32 = 8;
const TENSOR_DATA_LOCATION: u32 = 14;

/// The messages through which a tensor can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    TrainingInfo,
    Function,
}

/// Reason why a model is refused.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    Damaged(WireError),
    /// The name of a tensor whose values are in another file.
    External(String),
}

/// Reads a model that the manifest names: checks its length and digest, and that it contains all of its values.
pub(crate) fn read_model(folder: &Path, file: &FileRef) -> Result<Vec<u8>, BundleError> {
    let model = files::read(folder, file)?;
    check_model(&model).map_err(|refusal| match refusal {
        Refusal::Damaged(reason) => BundleError::UnreadableModel { path: file.path.clone(), reason },
        Refusal::External(tensor) => BundleError::ExternalData { path: file.path.clone(), tensor },
    })?;
    Ok(model)
}

/// Returns whether a bundle may contain these bytes as a model.
#[cfg(fuzzing)]
pub fn is_self_contained_model(model: &[u8]) -> bool {
    check_model(model).is_ok()
}

fn check_model(model: &[u8]) -> Result<(), Refusal> {
    if model.get(4..8) == Some(&ORT_IDENTIFIER[..]) {
        return Err(Refusal::Damaged("it is in the format of ONNX Runtime"));
    }
    check_message(Message::Model, model, 0)
}

fn check_message(kind: Message, message: &[u8], depth: usize) -> Result<(), Refusal> {
    if depth > MAX_DEPTH {
        return Err(Refusal::Damaged("its messages are nested too deeply"));
    }
    if kind == Message::Tensor {
        return check_tensor(message);
    }
    for field in Fields::new(message) {
        let Field { number, value } = field.map_err(Refusal::Damaged)?;
        if let (Some(child), FieldValue::Bytes(bytes)) = (kind.child(number), value) {
            check_message(child, bytes, depth + 1)?;
        }
    }
    Ok(())
}

/// Checks that a tensor contains its values. If a field occurs twice, readers differ in which one they use, so no
/// occurrence may name another place.
fn check_tensor(tensor: &[u8]) -> Result<(), Refusal> {
    let (mut name, mut is_external) = (&b""[..], false);
    for field in Fields::new(tensor) {
        match field.map_err(Refusal::Damaged)? {
            Field { number: TENSOR_NAME, value: FieldValue::Bytes(bytes) } => name = bytes,
            Field { number: TENSOR_DATA_LOCATION, value } => {
                is_external = is_external || value != FieldValue::Number(0);
            }
            _ => {}
        }
    }
    if !is_external {
        return Ok(());
    }
    let shown = &name[..name.len().min(MAX_SHOWN_BYTES)];
    Err(Refusal::External(String::from_utf8_lossy(shown).into_owned()))
}

impl Message {
    /// Returns the kind of message in a field; `None` if it leads to no tensor.
    fn child(self, field: u32) -> Option<Self> {
        match (self, field) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) | (Self::TrainingInfo, 1 | 2) => Some(Self::Graph),
            (Self::Model, 20) => Some(Self::TrainingInfo),
            (Self::Model, 25) => Some(Self::Function),
            (Self::Graph, 1) | (Self::Function, 7) => Some(Self::Node),
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::SparseTensor, 1 | 2) => Some(Self::Tensor),
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Some(Self::SparseTensor),
            (Self::Node, 5) | (Self::Function, 11) => Some(Self::Attribute),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a message with one field, which contains `content`.
    fn nested(field: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len();
        [&[(field << 3) | 2, length as u8 | 0x80, (length >> 7) as u8][..], content].concat()
    }

    #[test]
    fn depth_is_bounded() {
        let graph_in = |levels: usize| {
            let mut graph = Vec::new();
            // From the innermost message outwards: the graph of an attribute, of a node, of a graph.
            for level in 0..levels {
                graph = nested([6, 5, 1][level % 3], &graph);
            }
            nested(7, &graph)
        };
        assert_eq!(check_model(&graph_in(99)), Ok(()));
        let error = check_model(&graph_in(300)).unwrap_err();
        assert_eq!(error, Refusal::Damaged("its messages are nested too deeply"));
    }

    #[test]
    fn a_model_that_onnx_runtime_reads_in_another_format_is_refused() {
        let name = [&b"xxORTM"[..], &[b'x'; 20]].concat();
        let model = [&[0x12, name.len() as u8][..], &name].concat();
        assert_eq!(check_model(&model), Err(Refusal::Damaged("it is in the format of ONNX Runtime")));
    }

    #[test]
    fn the_location_counts_wherever_it_is_in_the_tensor() {
        let external = |tensor: &[u8]| check_model(&nested(7, &nested(5, tensor)));
        assert_eq!(external(&[0x70, 0]), Ok(()));
        assert_eq!(external(&[0x42, 1, b'w', 0x70, 1]), Err(Refusal::External("w".into())));
        assert_eq!(external(&[0x70, 1, 0x70, 0, 0x42, 1, b'w']), Err(Refusal::External("w".into())));
        assert_eq!(external(&[0x70, 0x81, 0x80, 0x80, 0x80, 0x10]), Err(Refusal::External(String::new())));
        assert_eq!(external(&[0x72, 1, 1]), Err(Refusal::External(String::new())));
        // The same bytes elsewhere are not a location.
        assert_eq!(check_model(&nested(7, &nested(2, &[0x70, 1]))), Ok(()));
    }
}
