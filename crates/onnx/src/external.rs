//! Tensors whose values are stored in another file.
//!
//! For such a tensor, `data_location` is EXTERNAL and `external_data` names the bytes: `location`, a path
//! below the model's folder; `offset`, 0 by default; and `length`, by default up to the end of the file. The
//! format of the bytes is that of `raw_data`. This module loads them into the model. The caller opens the
//! files; this module decides which paths and ranges may be read.

use std::path::{Component, Path, PathBuf};

use crate::{
    OnnxError,
    graph::element_count,
    proto::{
        AttributeProto, GraphProto, ModelProto, SparseTensorProto, StringStringEntryProto, TensorProto,
        tensor_proto::{DataLocation, DataType},
    },
    shapes::clip_name,
};

/// The largest protobuf message that runtimes read, in bytes.
const MAX_PROTOBUF_BYTES: u64 = i32::MAX as u64;

/// Reads part of a file. The arguments are a path below the model's folder, an offset and a length in bytes.
pub type ReadRange<'r> = &'r mut dyn FnMut(&Path, u64, usize) -> Result<Vec<u8>, String>;

/// Loads every external tensor into the model, wherever it is: in subgraphs, functions, attributes, sparse
/// tensors and the description of a training. Returns the number of these tensors. `read` receives a path
/// below the model's folder, an offset and a length in bytes, and must return that many bytes. It must refuse
/// lengths beyond the file before it allocates memory for them, and paths that leave the folder through
/// symbolic links.
///
/// # Errors
/// [`OnnxError::ExternalData`] when a path is absolute or leaves the folder, an offset or length is not a
/// number, the length is not that of the tensor's type and dimensions, all values together exceed the 2 GiB
/// of a protobuf file, or `read` fails.
pub fn load_external_data(model: &mut ModelProto, read: ReadRange<'_>) -> Result<usize, OnnxError> {
    let mut loader = ExternalLoader { read, total: 0, count: 0 };
    let trainings = model.training_info.iter_mut();
    let training_graphs =
        trainings.flat_map(|training| training.initialization.iter_mut().chain(&mut training.algorithm));
    model.graph.iter_mut().chain(training_graphs).try_for_each(|graph| loader.load_graph(graph))?;
    for function in &mut model.functions {
        let attributes = function.node.iter_mut().flat_map(|node| &mut node.attribute);
        attributes
            .chain(&mut function.attribute_proto)
            .try_for_each(|attribute| loader.load_attribute(attribute))?;
    }
    Ok(loader.count)
}

struct ExternalLoader<'r> {
    read: ReadRange<'r>,
    total: u64,
    count: usize,
}

impl ExternalLoader<'_> {
    fn load_graph(&mut self, graph: &mut GraphProto) -> Result<(), OnnxError> {
        let sparse = graph.sparse_initializer.iter_mut().flat_map(dense_parts);
        graph.initializer.iter_mut().chain(sparse).try_for_each(|tensor| self.load_tensor(tensor))?;
        let attributes = graph.node.iter_mut().flat_map(|node| &mut node.attribute);
        attributes.into_iter().try_for_each(|attribute| self.load_attribute(attribute))
    }

    fn load_attribute(&mut self, attribute: &mut AttributeProto) -> Result<(), OnnxError> {
        let sparse = attribute.sparse_tensor.iter_mut().chain(&mut attribute.sparse_tensors);
        let tensors = attribute.t.iter_mut().chain(&mut attribute.tensors);
        tensors.chain(sparse.flat_map(dense_parts)).try_for_each(|tensor| self.load_tensor(tensor))?;
        attribute.g.iter_mut().chain(&mut attribute.graphs).try_for_each(|graph| self.load_graph(graph))
    }

    fn load_tensor(&mut self, tensor: &mut TensorProto) -> Result<(), OnnxError> {
        if tensor.data_location() != DataLocation::External {
            return Ok(());
        }
        let bytes = self.read_bytes(tensor).map_err(|reason| OnnxError::ExternalData {
            tensor: clip_name(tensor.name()),
            location: clip_name(external_entry(tensor, "location").unwrap_or_default()),
            reason,
        })?;
        tensor.raw_data = Some(bytes);
        tensor.data_location = None;
        tensor.external_data.clear();
        self.count += 1;
        Ok(())
    }

    fn read_bytes(&mut self, tensor: &TensorProto) -> Result<Vec<u8>, String> {
        let path = check_relative_path(
            external_entry(tensor, "location").ok_or("it has no location: export the model again")?,
        )?;
        let offset = parse_entry(tensor, "offset")?.unwrap_or(0);
        let expected =
            tensor_bytes(tensor).ok_or("the size of its type and dimensions in bytes is unknown")?;
        if let Some(length) = parse_entry(tensor, "length")?.filter(|&length| length != expected) {
            return Err(format!("{length} bytes are declared, but its type and dimensions take {expected}"));
        }
        self.total = self.total.saturating_add(expected);
        if self.total > MAX_PROTOBUF_BYTES {
            return Err("all values together exceed 2 GiB, the limit of one ONNX file".to_owned());
        }
        let bytes = (self.read)(&path, offset, expected as usize)?;
        if bytes.len() as u64 == expected {
            Ok(bytes)
        } else {
            Err(format!("only {} of {expected} bytes could be read", bytes.len()))
        }
    }
}

/// Returns the tensors of a sparse tensor: its values and their positions.
fn dense_parts(sparse: &mut SparseTensorProto) -> impl Iterator<Item = &mut TensorProto> {
    sparse.values.iter_mut().chain(&mut sparse.indices)
}

fn external_entry<'t>(tensor: &'t TensorProto, key: &str) -> Option<&'t str> {
    tensor.external_data.iter().find(|entry| entry.key() == key).map(StringStringEntryProto::value)
}

fn parse_entry(tensor: &TensorProto, key: &str) -> Result<Option<u64>, String> {
    let text = external_entry(tensor, key).filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(|_| format!("its {key} {:?} is not a number", clip_name(text))))
        .transpose()
}

/// Returns the path if it stays below the folder that it is relative to, on any operating system.
fn check_relative_path(location: &str) -> Result<PathBuf, String> {
    let path = Path::new(location);
    let parts = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if location.is_empty() || !parts || location.contains(['\\', ':', '\0']) {
        return Err(
            "only files in the model's folder are read: move it there and name it without `..`".to_owned()
        );
    }
    Ok(path.to_owned())
}

/// Returns the number of bytes of the tensor's values; `None` for strings and unknown types.
fn tensor_bytes(tensor: &TensorProto) -> Option<u64> {
    use DataType as T;
    let bits: u64 = match DataType::try_from(tensor.data_type()).ok()? {
        T::Int4 | T::Uint4 | T::Float4e2m1 => 4,
        T::Bool
        | T::Int8
        | T::Uint8
        | T::Float8e4m3fn
        | T::Float8e4m3fnuz
        | T::Float8e5m2
        | T::Float8e5m2fnuz
        | T::Float8e8m0 => 8,
        T::Int16 | T::Uint16 | T::Float16 | T::Bfloat16 => 16,
        T::Int32 | T::Uint32 | T::Float => 32,
        T::Int64 | T::Uint64 | T::Double | T::Complex64 => 64,
        T::Complex128 => 128,
        _ => return None,
    };
    Some(element_count(&tensor.dims)?.checked_mul(bits)?.div_ceil(8))
}
