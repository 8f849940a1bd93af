//! The bodies of responses.

use std::borrow::Cow;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use lopside_decoder::IndexEntry;
use serde::Serialize;
use utoipa::ToSchema;

use super::request::BASE64;
use crate::api::oip::{
    EXTENSIONS, PLATFORM,
    model::{OipModel, TensorInfo},
    tensor::{DataType, OutputData, OutputTensor},
};

/// Whether the process is alive.
#[derive(Serialize, ToSchema)]
pub(super) struct ServerLive {
    pub(super) live: bool,
}

/// Whether the server accepts requests.
#[derive(Serialize, ToSchema)]
pub(super) struct ServerReady {
    pub(super) ready: bool,
}

/// Whether a model accepts requests.
#[derive(Serialize, ToSchema)]
pub(super) struct ModelReady {
    pub(super) name: String,
    pub(super) ready: bool,
}

/// The name, version and extensions of the server.
#[derive(Serialize, ToSchema)]
pub(super) struct ServerMetadata {
    name: &'static str,
    version: &'static str,
    extensions: [&'static str; EXTENSIONS.len()],
}

/// A model with its versions and tensors.
#[derive(Serialize, ToSchema)]
pub(super) struct ModelMetadata {
    name: String,
    /// All versions, newest first.
    versions: Vec<String>,
    platform: &'static str,
    inputs: Vec<TensorMetadata>,
    outputs: Vec<TensorMetadata>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct TensorMetadata {
    name: String,
    #[schema(value_type = DataType)]
    datatype: &'static str,
    /// The shape, batch dimension first; −1 for a dimension that the client chooses.
    shape: Vec<i64>,
}

/// One entry of the repository index.
#[derive(Serialize, ToSchema)]
pub(super) struct IndexRow {
    name: String,
    version: String,
    #[schema(value_type = ModelState)]
    state: &'static str,
    /// The reason why the entry is not ready; empty if it is.
    reason: String,
}

/// Whether an entry of the repository index accepts requests.
#[derive(ToSchema)]
#[schema(rename_all = "UPPERCASE")]
#[allow(dead_code, reason = "the schema of the text that `IndexEntry::state` returns")]
enum ModelState {
    Ready,
    Unavailable,
}

/// The outputs of a model.
#[derive(Serialize, ToSchema)]
#[schema(as = InferenceResponse)]
pub(super) struct Inference<'a> {
    pub(super) model_name: &'a str,
    pub(super) model_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) id: Option<String>,
    pub(super) outputs: Vec<Tensor<'a>>,
}

/// A flat tensor, row-major.
#[derive(Serialize, ToSchema)]
#[schema(as = InferOutputTensor)]
pub(super) struct Tensor<'a> {
    name: &'a str,
    #[schema(value_type = DataType)]
    datatype: &'static str,
    shape: &'a [i64],
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    parameters: Option<OutputParameters>,
    /// The elements, all of one type; absent if they follow the JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Element>>, nullable = false)]
    data: Option<Data<'a>>,
}

/// The encoding of an output's elements; exactly one property is present.
#[derive(Serialize, ToSchema)]
#[schema(as = InferOutputParameters)]
struct OutputParameters {
    /// Length of the elements in bytes, if they follow the JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>, nullable = false)]
    binary_data_size: Option<usize>,
    /// `base64`, if byte strings are in base64 because they are not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    content_type: Option<&'static str>,
}

/// An element of a tensor.
#[derive(ToSchema)]
#[serde(untagged)]
#[schema(as = TensorElement)]
#[allow(dead_code, reason = "the schema of the elements of `Data`")]
enum Element {
    Number(f32),
    Bool(bool),
    Text(String),
}

/// The elements of a tensor, all of one type.
#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Floats(&'a [f32]),
    Bools(&'a [bool]),
    Texts(Vec<Cow<'a, str>>),
}

impl ServerMetadata {
    pub(super) fn own() -> Self {
        Self { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION"), extensions: EXTENSIONS }
    }
}

impl From<OipModel> for ModelMetadata {
    fn from(model: OipModel) -> Self {
        Self {
            versions: model.versions().iter().map(ToString::to_string).collect(),
            platform: PLATFORM,
            inputs: model.inputs().into_iter().map(TensorMetadata::from).collect(),
            outputs: model.outputs().into_iter().map(TensorMetadata::from).collect(),
            name: model.name,
        }
    }
}

impl From<TensorInfo> for TensorMetadata {
    fn from(TensorInfo { name, datatype, shape }: TensorInfo) -> Self {
        Self { name, datatype: datatype.name(), shape }
    }
}

impl From<IndexEntry> for IndexRow {
    fn from(row: IndexEntry) -> Self {
        let state = row.state();
        Self { name: row.name, version: row.version.to_string(), state, reason: row.reason }
    }
}

impl<'a> Tensor<'a> {
    /// Describes an output. `binary` is the number of data bytes that follow the JSON; `None` includes the
    /// data in the JSON.
    pub(super) fn from_output(output: &'a OutputTensor, binary: Option<usize>) -> Self {
        let OutputTensor { name, shape, values } = output;
        let (parameters, data) = match (binary, values) {
            (Some(_), _) => (Some(OutputParameters { binary_data_size: binary, content_type: None }), None),
            (None, OutputData::Slice(..) | OutputData::Floats(_)) => {
                (None, Some(Data::Floats(values.floats())))
            }
            (None, OutputData::Bools(values)) => (None, Some(Data::Bools(values))),
            (None, OutputData::Texts(texts)) => {
                let utf8: Result<_, _> =
                    texts.iter().map(|text| str::from_utf8(text).map(Cow::Borrowed)).collect();
                if let Ok(utf8) = utf8 {
                    (None, Some(Data::Texts(utf8)))
                } else {
                    let base64 = texts.iter().map(|text| BASE64_STANDARD.encode(text).into());
                    let parameters = OutputParameters { binary_data_size: None, content_type: Some(BASE64) };
                    (Some(parameters), Some(Data::Texts(base64.collect())))
                }
            }
        };
        Self { name, datatype: values.datatype().name(), shape, parameters, data }
    }
}
