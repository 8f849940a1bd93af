//! ONNX models as data: built, cut in two and costed, without a runtime.

mod builder;
mod cost;
mod cuts;
mod error;
mod external;
mod fold;
mod fp16;
mod graph;
mod inputs;
mod model;
mod pick;
mod rules;
mod shape;
mod shape_inference;
mod shapes;
mod split;
mod stored_values;
mod symbolic;
#[cfg(test)]
mod testing;
mod tiling;
mod types;

/// The messages of the ONNX format, generated from `onnx.proto`. Optional fields are `Option`s with a getter
/// of the same name, which returns the default value for `None`.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod proto {
    include!("../generated/onnx.rs");
}

pub use builder::{Attribute, Dim, GraphBuilder, IR_VERSION, OPSET};
pub use cost::{Cost, model_cost};
pub use cuts::{Cut, HalfCost, find_cuts};
pub use error::OnnxError;
pub use external::{ReadRange, load_external_data};
pub use fp16::convert_to_fp16;
pub use inputs::{ModelInput, model_inputs, set_dims};
pub use model::{decode_model, encode_model, metadata_value, set_metadata};
pub use pick::{CutBudget, pick_cut, rank_cuts};
pub use split::{split_at, split_model};
pub use symbolic::Extent;
pub use tiling::{TiledTensor, tile_margin};
