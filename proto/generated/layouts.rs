impl Layout for crate::v1::GetChannelRequest {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 3, content: Content::Copied, repetition: Repetition::Once },];
    const IS_REQUEST: bool = true;
}
impl Layout for crate::v1::GetChannelResponse {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 3, content: Content::Message { fields: <crate::v1::BundleFile as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::v1::BundleFile>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::BundleFile {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 3, content: Content::Copied, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::DownloadRequest {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },];
    const IS_REQUEST: bool = true;
}
impl Layout for crate::v1::DownloadResponse {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::DecodeRequest {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Shared, repetition: Repetition::List { element_bytes: size_of::<::prost::bytes::Bytes>() } },
        Field { number: 2, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 3, content: Content::Message { fields: <crate::v1::OutputRequest as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::v1::OutputRequest>() } },
        Field { number: 4, content: Content::Message { fields: <crate::v1::Input as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::v1::Input>() } },];
    const IS_REQUEST: bool = true;
}
impl Layout for crate::v1::Input {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Message { fields: <crate::v1::Tensor as Layout>::FIELDS }, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::OutputRequest {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::DecodeResponse {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Message { fields: <crate::v1::DecodedFrame as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::v1::DecodedFrame>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::DecodedFrame {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Message { fields: <crate::v1::Output as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::v1::Output>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::Output {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 3, content: Content::Message { fields: <crate::v1::Tensor as Layout>::FIELDS }, repetition: Repetition::Once },
        Field { number: 4, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 5, content: Content::Message { fields: <crate::v1::ClassScores as Layout>::FIELDS }, repetition: Repetition::Once },
        Field { number: 6, content: Content::Message { fields: <crate::v1::Anomaly as Layout>::FIELDS }, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::Anomaly {
    const FIELDS: &'static [Field] = &[
        Field { number: 4, content: Content::Message { fields: <crate::v1::AnomalyPart as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::v1::AnomalyPart>() } },
        Field { number: 5, content: Content::Copied, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::AnomalyPart {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::Tensor {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Varint, repetition: Repetition::List { element_bytes: size_of::<u32>() } },
        Field { number: 2, content: Content::Fixed { bytes: 4 }, repetition: Repetition::List { element_bytes: size_of::<f32>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::ClassScores {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Message { fields: <crate::v1::ClassScore as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::v1::ClassScore>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::ClassScore {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::ListBundlesRequest {
    const FIELDS: &'static [Field] = &[];
    const IS_REQUEST: bool = true;
}
impl Layout for crate::v1::ListBundlesResponse {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Message { fields: <crate::v1::Bundle as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::v1::Bundle>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::GetBundleRequest {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },];
    const IS_REQUEST: bool = true;
}
impl Layout for crate::v1::GetBundleResponse {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Message { fields: <crate::v1::Bundle as Layout>::FIELDS }, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::Bundle {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 3, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 4, content: Content::Varint, repetition: Repetition::List { element_bytes: size_of::<u32>() } },
        Field { number: 5, content: Content::Message { fields: <crate::v1::Head as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::v1::Head>() } },
        Field { number: 6, content: Content::Message { fields: <crate::v1::Layer as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::v1::Layer>() } },
        Field { number: 7, content: Content::Message { fields: <crate::v1::InputSpec as Layout>::FIELDS }, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::InputSpec {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Message { fields: <crate::v1::PictureSpec as Layout>::FIELDS }, repetition: Repetition::Once },
        Field { number: 2, content: Content::Message { fields: <crate::v1::SeriesSpec as Layout>::FIELDS }, repetition: Repetition::Once },
        Field { number: 3, content: Content::Message { fields: <crate::v1::TensorSpec as Layout>::FIELDS }, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::PictureSpec {
    const FIELDS: &'static [Field] = &[];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::SeriesSpec {
    const FIELDS: &'static [Field] = &[
        Field { number: 3, content: Content::Copied, repetition: Repetition::List { element_bytes: size_of::<String>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::TensorSpec {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Varint, repetition: Repetition::List { element_bytes: size_of::<u32>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::Layer {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 4, content: Content::Varint, repetition: Repetition::List { element_bytes: size_of::<u32>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::Head {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 4, content: Content::Varint, repetition: Repetition::List { element_bytes: size_of::<u32>() } },
        Field { number: 5, content: Content::Copied, repetition: Repetition::List { element_bytes: size_of::<String>() } },
        Field { number: 11, content: Content::Message { fields: <crate::v1::ScorePart as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::v1::ScorePart>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::ScorePart {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::UploadRequest {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Message { fields: <crate::v1::Hello as Layout>::FIELDS }, repetition: Repetition::Once },
        Field { number: 2, content: Content::Message { fields: <crate::v1::Frames as Layout>::FIELDS }, repetition: Repetition::Once },
        Field { number: 3, content: Content::Message { fields: <crate::v1::SourceReports as Layout>::FIELDS }, repetition: Repetition::Once },];
    const IS_REQUEST: bool = true;
}
impl Layout for crate::v1::Hello {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Message { fields: <crate::v1::Lane as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::v1::Lane>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::Lane {
    const FIELDS: &'static [Field] = &[];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::Frames {
    const FIELDS: &'static [Field] = &[
        Field { number: 6, content: Content::Varint, repetition: Repetition::List { element_bytes: size_of::<i64>() } },
        Field { number: 7, content: Content::Varint, repetition: Repetition::List { element_bytes: size_of::<u32>() } },
        Field { number: 8, content: Content::Fixed { bytes: 4 }, repetition: Repetition::List { element_bytes: size_of::<u32>() } },
        Field { number: 10, content: Content::Message { fields: <crate::v1::Origin as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::v1::Origin>() } },
        Field { number: 11, content: Content::Message { fields: <crate::v1::Trace as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::v1::Trace>() } },
        Field { number: 12, content: Content::Message { fields: <crate::v1::Mark as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::v1::Mark>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::Origin {
    const FIELDS: &'static [Field] = &[
        Field { number: 2, content: Content::Copied, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::Trace {
    const FIELDS: &'static [Field] = &[
        Field { number: 2, content: Content::Copied, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::Mark {
    const FIELDS: &'static [Field] = &[
        Field { number: 3, content: Content::Message { fields: <crate::v1::Location as Layout>::FIELDS }, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::Location {
    const FIELDS: &'static [Field] = &[];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::SourceReports {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Message { fields: <crate::v1::SourceReport as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::v1::SourceReport>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::SourceReport {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 5, content: Content::Copied, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::UploadResponse {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Message { fields: <crate::v1::Welcome as Layout>::FIELDS }, repetition: Repetition::Once },
        Field { number: 2, content: Content::Message { fields: <crate::v1::Ack as Layout>::FIELDS }, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::Welcome {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Message { fields: <crate::v1::Known as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::v1::Known>() } },
        Field { number: 2, content: Content::Message { fields: <crate::v1::Lost as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::v1::Lost>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::Known {
    const FIELDS: &'static [Field] = &[
        Field { number: 2, content: Content::Message { fields: <crate::v1::NumberRange as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::v1::NumberRange>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::Lost {
    const FIELDS: &'static [Field] = &[
        Field { number: 2, content: Content::Message { fields: <crate::v1::NumberRange as Layout>::FIELDS }, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::NumberRange {
    const FIELDS: &'static [Field] = &[];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::v1::Ack {
    const FIELDS: &'static [Field] = &[];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::ServerLiveRequest {
    const FIELDS: &'static [Field] = &[];
    const IS_REQUEST: bool = true;
}
impl Layout for crate::inference::ServerLiveResponse {
    const FIELDS: &'static [Field] = &[];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::ServerReadyRequest {
    const FIELDS: &'static [Field] = &[];
    const IS_REQUEST: bool = true;
}
impl Layout for crate::inference::ServerReadyResponse {
    const FIELDS: &'static [Field] = &[];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::ModelReadyRequest {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Copied, repetition: Repetition::Once },];
    const IS_REQUEST: bool = true;
}
impl Layout for crate::inference::ModelReadyResponse {
    const FIELDS: &'static [Field] = &[];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::ServerMetadataRequest {
    const FIELDS: &'static [Field] = &[];
    const IS_REQUEST: bool = true;
}
impl Layout for crate::inference::ServerMetadataResponse {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 3, content: Content::Copied, repetition: Repetition::List { element_bytes: size_of::<String>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::ModelMetadataRequest {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Copied, repetition: Repetition::Once },];
    const IS_REQUEST: bool = true;
}
impl Layout for crate::inference::ModelMetadataResponse {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Copied, repetition: Repetition::List { element_bytes: size_of::<String>() } },
        Field { number: 3, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 4, content: Content::Message { fields: <crate::inference::model_metadata_response::TensorMetadata as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::inference::model_metadata_response::TensorMetadata>() } },
        Field { number: 5, content: Content::Message { fields: <crate::inference::model_metadata_response::TensorMetadata as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::inference::model_metadata_response::TensorMetadata>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::model_metadata_response::TensorMetadata {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 3, content: Content::Varint, repetition: Repetition::List { element_bytes: size_of::<i64>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::InferParameter {
    const FIELDS: &'static [Field] = &[
        Field { number: 3, content: Content::Copied, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::InferTensorContents {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Varint, repetition: Repetition::List { element_bytes: size_of::<bool>() } },
        Field { number: 2, content: Content::Varint, repetition: Repetition::List { element_bytes: size_of::<i32>() } },
        Field { number: 3, content: Content::Varint, repetition: Repetition::List { element_bytes: size_of::<i64>() } },
        Field { number: 4, content: Content::Varint, repetition: Repetition::List { element_bytes: size_of::<u32>() } },
        Field { number: 5, content: Content::Varint, repetition: Repetition::List { element_bytes: size_of::<u64>() } },
        Field { number: 6, content: Content::Fixed { bytes: 4 }, repetition: Repetition::List { element_bytes: size_of::<f32>() } },
        Field { number: 7, content: Content::Fixed { bytes: 8 }, repetition: Repetition::List { element_bytes: size_of::<f64>() } },
        Field { number: 8, content: Content::Copied, repetition: Repetition::List { element_bytes: size_of::<Vec<u8>>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::ModelInferRequest {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 3, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 4, content: Content::Message { fields: &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Message { fields: <crate::inference::InferParameter as Layout>::FIELDS }, repetition: Repetition::Once },] }, repetition: Repetition::Map { entry_bytes: size_of::<(String, crate::inference::InferParameter)>() } },
        Field { number: 5, content: Content::Message { fields: <crate::inference::model_infer_request::InferInputTensor as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::inference::model_infer_request::InferInputTensor>() } },
        Field { number: 6, content: Content::Message { fields: <crate::inference::model_infer_request::InferRequestedOutputTensor as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::inference::model_infer_request::InferRequestedOutputTensor>() } },
        Field { number: 7, content: Content::Shared, repetition: Repetition::List { element_bytes: size_of::<::prost::bytes::Bytes>() } },];
    const IS_REQUEST: bool = true;
}
impl Layout for crate::inference::model_infer_request::InferInputTensor {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 3, content: Content::Varint, repetition: Repetition::List { element_bytes: size_of::<i64>() } },
        Field { number: 4, content: Content::Message { fields: &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Message { fields: <crate::inference::InferParameter as Layout>::FIELDS }, repetition: Repetition::Once },] }, repetition: Repetition::Map { entry_bytes: size_of::<(String, crate::inference::InferParameter)>() } },
        Field { number: 5, content: Content::Message { fields: <crate::inference::InferTensorContents as Layout>::FIELDS }, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::model_infer_request::InferRequestedOutputTensor {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Message { fields: &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Message { fields: <crate::inference::InferParameter as Layout>::FIELDS }, repetition: Repetition::Once },] }, repetition: Repetition::Map { entry_bytes: size_of::<(String, crate::inference::InferParameter)>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::ModelInferResponse {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 3, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 4, content: Content::Message { fields: &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Message { fields: <crate::inference::InferParameter as Layout>::FIELDS }, repetition: Repetition::Once },] }, repetition: Repetition::Map { entry_bytes: size_of::<(String, crate::inference::InferParameter)>() } },
        Field { number: 5, content: Content::Message { fields: <crate::inference::model_infer_response::InferOutputTensor as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::inference::model_infer_response::InferOutputTensor>() } },
        Field { number: 6, content: Content::Shared, repetition: Repetition::List { element_bytes: size_of::<::prost::bytes::Bytes>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::model_infer_response::InferOutputTensor {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 3, content: Content::Varint, repetition: Repetition::List { element_bytes: size_of::<i64>() } },
        Field { number: 4, content: Content::Message { fields: &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Message { fields: <crate::inference::InferParameter as Layout>::FIELDS }, repetition: Repetition::Once },] }, repetition: Repetition::Map { entry_bytes: size_of::<(String, crate::inference::InferParameter)>() } },
        Field { number: 5, content: Content::Message { fields: <crate::inference::InferTensorContents as Layout>::FIELDS }, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::ModelStreamInferResponse {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Message { fields: <crate::inference::ModelInferResponse as Layout>::FIELDS }, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::ModelConfigRequest {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Copied, repetition: Repetition::Once },];
    const IS_REQUEST: bool = true;
}
impl Layout for crate::inference::ModelConfigResponse {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Message { fields: <crate::inference::ModelConfig as Layout>::FIELDS }, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::ModelInput {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 4, content: Content::Varint, repetition: Repetition::List { element_bytes: size_of::<i64>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::ModelOutput {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 3, content: Content::Varint, repetition: Repetition::List { element_bytes: size_of::<i64>() } },
        Field { number: 4, content: Content::Copied, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::ModelInstanceGroup {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 3, content: Content::Varint, repetition: Repetition::List { element_bytes: size_of::<i32>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::ModelVersionPolicy {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Message { fields: <crate::inference::model_version_policy::Latest as Layout>::FIELDS }, repetition: Repetition::Once },
        Field { number: 2, content: Content::Message { fields: <crate::inference::model_version_policy::All as Layout>::FIELDS }, repetition: Repetition::Once },
        Field { number: 3, content: Content::Message { fields: <crate::inference::model_version_policy::Specific as Layout>::FIELDS }, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::model_version_policy::Latest {
    const FIELDS: &'static [Field] = &[];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::model_version_policy::All {
    const FIELDS: &'static [Field] = &[];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::model_version_policy::Specific {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Varint, repetition: Repetition::List { element_bytes: size_of::<i64>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::ModelQueuePolicy {
    const FIELDS: &'static [Field] = &[];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::ModelDynamicBatching {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Varint, repetition: Repetition::List { element_bytes: size_of::<i32>() } },
        Field { number: 6, content: Content::Message { fields: <crate::inference::ModelQueuePolicy as Layout>::FIELDS }, repetition: Repetition::Once },
        Field { number: 7, content: Content::Message { fields: &[
        Field { number: 2, content: Content::Message { fields: <crate::inference::ModelQueuePolicy as Layout>::FIELDS }, repetition: Repetition::Once },] }, repetition: Repetition::Map { entry_bytes: size_of::<(u64, crate::inference::ModelQueuePolicy)>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::ModelParameter {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::ModelTransactionPolicy {
    const FIELDS: &'static [Field] = &[];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::ModelConfig {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 3, content: Content::Message { fields: <crate::inference::ModelVersionPolicy as Layout>::FIELDS }, repetition: Repetition::Once },
        Field { number: 5, content: Content::Message { fields: <crate::inference::ModelInput as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::inference::ModelInput>() } },
        Field { number: 6, content: Content::Message { fields: <crate::inference::ModelOutput as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::inference::ModelOutput>() } },
        Field { number: 7, content: Content::Message { fields: <crate::inference::ModelInstanceGroup as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::inference::ModelInstanceGroup>() } },
        Field { number: 8, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 11, content: Content::Message { fields: <crate::inference::ModelDynamicBatching as Layout>::FIELDS }, repetition: Repetition::Once },
        Field { number: 14, content: Content::Message { fields: &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Message { fields: <crate::inference::ModelParameter as Layout>::FIELDS }, repetition: Repetition::Once },] }, repetition: Repetition::Map { entry_bytes: size_of::<(String, crate::inference::ModelParameter)>() } },
        Field { number: 17, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 19, content: Content::Message { fields: <crate::inference::ModelTransactionPolicy as Layout>::FIELDS }, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::ModelStatisticsRequest {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Copied, repetition: Repetition::Once },];
    const IS_REQUEST: bool = true;
}
impl Layout for crate::inference::StatisticDuration {
    const FIELDS: &'static [Field] = &[];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::InferStatistics {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Message { fields: <crate::inference::StatisticDuration as Layout>::FIELDS }, repetition: Repetition::Once },
        Field { number: 2, content: Content::Message { fields: <crate::inference::StatisticDuration as Layout>::FIELDS }, repetition: Repetition::Once },
        Field { number: 3, content: Content::Message { fields: <crate::inference::StatisticDuration as Layout>::FIELDS }, repetition: Repetition::Once },
        Field { number: 4, content: Content::Message { fields: <crate::inference::StatisticDuration as Layout>::FIELDS }, repetition: Repetition::Once },
        Field { number: 5, content: Content::Message { fields: <crate::inference::StatisticDuration as Layout>::FIELDS }, repetition: Repetition::Once },
        Field { number: 6, content: Content::Message { fields: <crate::inference::StatisticDuration as Layout>::FIELDS }, repetition: Repetition::Once },
        Field { number: 7, content: Content::Message { fields: <crate::inference::StatisticDuration as Layout>::FIELDS }, repetition: Repetition::Once },
        Field { number: 8, content: Content::Message { fields: <crate::inference::StatisticDuration as Layout>::FIELDS }, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::InferBatchStatistics {
    const FIELDS: &'static [Field] = &[
        Field { number: 2, content: Content::Message { fields: <crate::inference::StatisticDuration as Layout>::FIELDS }, repetition: Repetition::Once },
        Field { number: 3, content: Content::Message { fields: <crate::inference::StatisticDuration as Layout>::FIELDS }, repetition: Repetition::Once },
        Field { number: 4, content: Content::Message { fields: <crate::inference::StatisticDuration as Layout>::FIELDS }, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::MemoryUsage {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::ModelStatistics {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 6, content: Content::Message { fields: <crate::inference::InferStatistics as Layout>::FIELDS }, repetition: Repetition::Once },
        Field { number: 7, content: Content::Message { fields: <crate::inference::InferBatchStatistics as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::inference::InferBatchStatistics>() } },
        Field { number: 8, content: Content::Message { fields: <crate::inference::MemoryUsage as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::inference::MemoryUsage>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::ModelStatisticsResponse {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Message { fields: <crate::inference::ModelStatistics as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::inference::ModelStatistics>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::ModelRepositoryParameter {
    const FIELDS: &'static [Field] = &[
        Field { number: 3, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 4, content: Content::Copied, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::RepositoryIndexRequest {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },];
    const IS_REQUEST: bool = true;
}
impl Layout for crate::inference::RepositoryIndexResponse {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Message { fields: <crate::inference::repository_index_response::ModelIndex as Layout>::FIELDS }, repetition: Repetition::List { element_bytes: size_of::<crate::inference::repository_index_response::ModelIndex>() } },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::repository_index_response::ModelIndex {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 3, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 4, content: Content::Copied, repetition: Repetition::Once },];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::RepositoryModelLoadRequest {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 3, content: Content::Message { fields: &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Message { fields: <crate::inference::ModelRepositoryParameter as Layout>::FIELDS }, repetition: Repetition::Once },] }, repetition: Repetition::Map { entry_bytes: size_of::<(String, crate::inference::ModelRepositoryParameter)>() } },];
    const IS_REQUEST: bool = true;
}
impl Layout for crate::inference::RepositoryModelLoadResponse {
    const FIELDS: &'static [Field] = &[];
    const IS_REQUEST: bool = false;
}
impl Layout for crate::inference::RepositoryModelUnloadRequest {
    const FIELDS: &'static [Field] = &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 3, content: Content::Message { fields: &[
        Field { number: 1, content: Content::Copied, repetition: Repetition::Once },
        Field { number: 2, content: Content::Message { fields: <crate::inference::ModelRepositoryParameter as Layout>::FIELDS }, repetition: Repetition::Once },] }, repetition: Repetition::Map { entry_bytes: size_of::<(String, crate::inference::ModelRepositoryParameter)>() } },];
    const IS_REQUEST: bool = true;
}
impl Layout for crate::inference::RepositoryModelUnloadResponse {
    const FIELDS: &'static [Field] = &[];
    const IS_REQUEST: bool = false;
}
