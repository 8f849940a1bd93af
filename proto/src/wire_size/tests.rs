use std::collections::HashMap;

use proptest::prelude::*;
use prost::{
    Message,
    bytes::Bytes,
    encoding::{encode_key, encode_varint},
};

use super::*;
use crate::{
    inference::{
        InferParameter, InferTensorContents, ModelInferRequest, RepositoryModelLoadRequest,
        infer_parameter::ParameterChoice,
        model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
    },
    v1::{
        ClassScore, ClassScores, DecodeRequest, DecodeResponse, DecodedFrame, Frames, Hello, Lane, Location,
        Mark, Origin, Output, SourceReport, SourceReports, Trace, UploadRequest, UploadResponse, output,
        upload_request,
    },
};

/// Number of bytes of a message of small elements.
const MANY: usize = 4_000_000;

/// Returns the estimate for a message, without a limit.
fn estimate<M: Layout>(message: &[u8]) -> usize {
    let mut scan = Scan { bytes: 0, limit: usize::MAX };
    let _ = scan.read_fields(M::FIELDS, &mut &*message, 0);
    scan.bytes
}

/// Returns a field with a length and these contents.
fn delimited(number: u32, contents: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut field);
    encode_varint(contents.len() as u64, &mut field);
    field.extend_from_slice(contents);
    field
}

/// Repeats a part of a message up to a length.
fn repeated(part: &[u8], len: usize) -> Vec<u8> {
    part.repeat(len / part.len())
}

/// Returns entries of a map with distinct keys.
fn entries(number: u32, len: usize) -> Vec<u8> {
    let entry = |index: usize| delimited(number, &delimited(1, format!("{index:06}").as_bytes()));
    (0..len / 10).flat_map(entry).collect()
}

/// The bytes that a value has allocated.
trait Heap {
    fn heap(&self) -> usize;
}

macro_rules! without_heap {
    ($($number:ty),*) => {
        $(impl Heap for $number {
            fn heap(&self) -> usize {
                0
            }
        })*
    };
}

without_heap!(bool, i32, i64, u8, u32, u64, f32, f64, Bytes);

impl Heap for String {
    fn heap(&self) -> usize {
        self.capacity()
    }
}

impl<T: Heap> Heap for Vec<T> {
    fn heap(&self) -> usize {
        self.capacity() * size_of::<T>() + self.iter().map(Heap::heap).sum::<usize>()
    }
}

impl<T: Heap> Heap for Option<T> {
    fn heap(&self) -> usize {
        self.as_ref().map_or(0, Heap::heap)
    }
}

impl<K: Heap, V: Heap> Heap for HashMap<K, V> {
    fn heap(&self) -> usize {
        // The capacity is seven eighths of the places; of four or eight places, it is one less.
        let places = match self.capacity() {
            0 => 0,
            capacity @ 1..8 => capacity + 1,
            capacity => capacity / 7 * 8,
        };
        let contents: usize = self.iter().map(|(key, value)| key.heap() + value.heap()).sum();
        places * (size_of::<(K, V)>() + 1) + contents
    }
}

impl Heap for InferParameter {
    fn heap(&self) -> usize {
        match &self.parameter_choice {
            Some(ParameterChoice::StringParam(text)) => text.heap(),
            _ => 0,
        }
    }
}

impl Heap for InferTensorContents {
    fn heap(&self) -> usize {
        let Self { bool_contents, int_contents, int64_contents, uint_contents, .. } = self;
        let Self { uint64_contents, fp32_contents, fp64_contents, bytes_contents, .. } = self;
        let integers =
            bool_contents.heap() + int_contents.heap() + int64_contents.heap() + uint_contents.heap();
        let others =
            uint64_contents.heap() + fp32_contents.heap() + fp64_contents.heap() + bytes_contents.heap();
        integers + others
    }
}

impl Heap for InferInputTensor {
    fn heap(&self) -> usize {
        let Self { name, datatype, shape, parameters, contents } = self;
        name.heap() + datatype.heap() + shape.heap() + parameters.heap() + contents.heap()
    }
}

impl Heap for InferRequestedOutputTensor {
    fn heap(&self) -> usize {
        self.name.heap() + self.parameters.heap()
    }
}

impl Heap for ModelInferRequest {
    fn heap(&self) -> usize {
        let Self { model_name, model_version, id, parameters, inputs, outputs, raw_input_contents } = self;
        let texts = model_name.heap() + model_version.heap() + id.heap();
        texts + parameters.heap() + inputs.heap() + outputs.heap() + raw_input_contents.heap()
    }
}

impl Heap for Lane {
    fn heap(&self) -> usize {
        0
    }
}

impl Heap for Origin {
    fn heap(&self) -> usize {
        self.source.heap()
    }
}

impl Heap for Trace {
    fn heap(&self) -> usize {
        self.traceparent.heap()
    }
}

impl Heap for Mark {
    fn heap(&self) -> usize {
        0
    }
}

impl Heap for Frames {
    fn heap(&self) -> usize {
        let Self { elapsed_ms, lengths, digests, origins, traces, marks, .. } = self;
        let columns = elapsed_ms.heap() + lengths.heap() + digests.heap();
        columns + origins.heap() + traces.heap() + marks.heap()
    }
}

impl Heap for SourceReport {
    fn heap(&self) -> usize {
        self.name.heap() + self.problem.heap()
    }
}

impl Heap for UploadRequest {
    fn heap(&self) -> usize {
        match &self.message {
            Some(upload_request::Message::Frames(frames)) => frames.heap(),
            Some(upload_request::Message::Hello(hello)) => hello.device.heap() + hello.lanes.heap(),
            Some(upload_request::Message::SourceReports(reports)) => reports.sources.heap(),
            None => 0,
        }
    }
}

fn parameters() -> impl Strategy<Value = HashMap<String, InferParameter>> {
    let choice = prop_oneof![
        any::<i64>().prop_map(ParameterChoice::Int64Param),
        "[a-z]{0,40}".prop_map(ParameterChoice::StringParam),
    ];
    let parameter = prop::option::of(choice).prop_map(|parameter_choice| InferParameter { parameter_choice });
    prop::collection::hash_map("[a-z]{0,2}", parameter, 0..20)
}

fn list<T: Strategy>(element: T, max_len: usize) -> impl Strategy<Value = Vec<T::Value>> {
    prop::collection::vec(element, 0..max_len)
}

fn contents() -> impl Strategy<Value = InferTensorContents> {
    let integers = (list(any::<bool>(), 20), list(any::<i32>(), 20), list(any::<i64>(), 20));
    let others = (list(any::<u64>(), 20), list(any::<f32>(), 20), list(list(any::<u8>(), 9), 9));
    (integers, others).prop_map(|((bools, ints, int64s), (uint64s, floats, bytes))| InferTensorContents {
        bool_contents: bools,
        int_contents: ints,
        int64_contents: int64s,
        uint64_contents: uint64s,
        fp32_contents: floats,
        bytes_contents: bytes,
        ..InferTensorContents::default()
    })
}

fn inference_request() -> impl Strategy<Value = ModelInferRequest> {
    let input = ("[a-z]{0,9}", list(any::<i64>(), 9), parameters(), prop::option::of(contents()));
    let input = input.prop_map(|(name, shape, parameters, contents)| InferInputTensor {
        name,
        shape,
        parameters,
        contents,
        ..InferInputTensor::default()
    });
    let output = ("[a-z]{0,9}", parameters());
    let output = output.prop_map(|(name, parameters)| InferRequestedOutputTensor { name, parameters });
    let raw = list(any::<u8>(), 50).prop_map(Bytes::from);
    let parts = ("[a-z]{0,20}", parameters(), list(input, 7), list(output, 7), list(raw, 7));
    parts.prop_map(|(id, parameters, inputs, outputs, raw_input_contents)| ModelInferRequest {
        id,
        parameters,
        inputs,
        outputs,
        raw_input_contents,
        ..ModelInferRequest::default()
    })
}

fn frames() -> impl Strategy<Value = Frames> {
    let origin = (any::<u32>(), "[a-z]{0,9}").prop_map(|(index, source)| Origin { index, source });
    let trace = (any::<u32>(), "[a-z]{0,60}").prop_map(|(index, traceparent)| Trace { index, traceparent });
    let columns = (list(any::<i64>(), 40), list(any::<u32>(), 40), list(any::<u32>(), 40));
    let parts = (columns, list(any::<u8>(), 100), list(origin, 20), list(trace, 20), list(mark(), 20));
    parts.prop_map(|((elapsed_ms, lengths, digests), bytes, origins, traces, marks)| Frames {
        elapsed_ms,
        lengths,
        digests,
        frames: bytes.into(),
        origins,
        traces,
        marks,
        ..Frames::default()
    })
}

fn mark() -> impl Strategy<Value = Mark> {
    let location = (any::<i32>(), any::<i32>(), prop::option::of(any::<i32>()));
    let location = location.prop_map(|(latitude_e7, longitude_e7, altitude_cm)| Location {
        latitude_e7,
        longitude_e7,
        altitude_cm,
    });
    (any::<u32>(), any::<bool>(), prop::option::of(location)).prop_map(|(index, damaged, location)| Mark {
        index,
        damaged,
        location,
    })
}

fn hello() -> impl Strategy<Value = Hello> {
    let lane = any::<u64>().prop_map(|settled| Lane { settled, ..Lane::default() });
    ("[a-z]{0,20}", list(lane, 20)).prop_map(|(device, lanes)| Hello { device, lanes, ..Hello::default() })
}

fn source_reports() -> impl Strategy<Value = SourceReports> {
    let source = ("[a-z]{0,9}", 0..4_i32, any::<u64>(), prop::option::of(any::<u64>()), "[a-z]{0,40}");
    let source = source.prop_map(|(name, condition, restarts, since_last_input_ms, problem)| SourceReport {
        name,
        condition,
        restarts,
        since_last_input_ms,
        problem,
    });
    (list(source, 20), any::<u32>()).prop_map(|(sources, omitted)| SourceReports { sources, omitted })
}

fn upload_request() -> impl Strategy<Value = UploadRequest> {
    let message = prop_oneof![
        3 => frames().prop_map(upload_request::Message::Frames),
        1 => hello().prop_map(upload_request::Message::Hello),
        1 => source_reports().prop_map(upload_request::Message::SourceReports),
    ];
    message.prop_map(|message| UploadRequest { message: Some(message) })
}

/// Messages one after the other, which prost merges into one.
fn merged<M: Message>(message: impl Strategy<Value = M>) -> impl Strategy<Value = Vec<u8>> {
    let messages = prop::collection::vec(message, 1..4);
    messages.prop_map(|messages| messages.iter().flat_map(Message::encode_to_vec).collect())
}

/// Checks that the estimate for a message that can be decoded is at least what it has allocated.
fn assert_bounded<M: Message + Default + Layout + Heap>(message: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(decoded) = M::decode(Bytes::copy_from_slice(message)) {
        let (estimated, allocated) = (estimate::<M>(message), decoded.heap());
        prop_assert!(estimated >= allocated, "{estimated} < {allocated}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_estimate_is_at_least_what_an_inference_request_allocates(message in merged(inference_request())) {
        prop_assert!(ModelInferRequest::decode(&message[..]).is_ok());
        assert_bounded::<ModelInferRequest>(&message)?;
    }

    #[test]
    fn the_estimate_is_at_least_what_an_upload_allocates(message in merged(upload_request())) {
        prop_assert!(UploadRequest::decode(&message[..]).is_ok());
        assert_bounded::<UploadRequest>(&message)?;
    }

    /// Bytes of a small alphabet are often messages: tags of the first fields, and short lengths.
    #[test]
    fn the_estimate_holds_for_arbitrary_bytes(message in prop::collection::vec(0..64_u8, 0..60)) {
        assert_bounded::<ModelInferRequest>(&message)?;
        assert_bounded::<UploadRequest>(&message)?;
    }

    #[test]
    fn damaged_messages_are_left_to_prost(
        message in merged(inference_request()),
        cut in any::<prop::sample::Index>(),
    ) {
        let cut = &message[..cut.index(message.len() + 1)];
        assert_bounded::<ModelInferRequest>(cut)?;
        prop_assert_eq!(check_size::<ModelInferRequest>(cut), Ok(()));
    }
}

/// Checks that many small elements are refused, and that the estimate holds for fewer of them.
fn assert_refused<M: Message + Default + Layout>(name: &str, wire: impl Fn(usize) -> Vec<u8>) {
    let message = wire(MANY);
    assert!(M::decode(&wire(1000)[..]).is_ok(), "{name}: it is not a message");
    let error = check_size::<M>(&message).expect_err(name).to_string();
    let len = message.len();
    assert!(error.contains(&format!("{len} bytes")) && error.contains("memory"), "{name}: {error}");
}

#[test]
fn many_small_elements_are_refused() {
    assert_refused::<ModelInferRequest>("inputs", |len| repeated(&delimited(5, &[]), len));
    assert_refused::<ModelInferRequest>("outputs", |len| repeated(&delimited(6, &[]), len));
    assert_refused::<ModelInferRequest>("raw contents", |len| repeated(&delimited(7, &[]), len));
    assert_refused::<ModelInferRequest>("parameters", |len| entries(4, len));
    assert_refused::<ModelInferRequest>("packed shape", |len| delimited(5, &delimited(3, &vec![1; len])));
    assert_refused::<ModelInferRequest>("single dimensions", |len| {
        delimited(5, &repeated(&[3 << 3, 1], len))
    });
    assert_refused::<ModelInferRequest>("typed integers", |len| {
        delimited(5, &delimited(5, &delimited(3, &vec![1; len])))
    });
    assert_refused::<ModelInferRequest>("byte strings", |len| {
        delimited(5, &delimited(5, &repeated(&delimited(8, b"a"), len)))
    });
    assert_refused::<ModelInferRequest>("inputs with contents", |len| {
        repeated(&delimited(5, &delimited(5, &[])), len)
    });
    assert_refused::<DecodeRequest>("frames", |len| repeated(&delimited(1, &[]), len));
    assert_refused::<DecodeRequest>("output requests", |len| repeated(&delimited(3, &[]), len));
    assert_refused::<DecodeRequest>("reference inputs", |len| repeated(&delimited(4, &[]), len));
    assert_refused::<UploadRequest>("origins", |len| delimited(2, &repeated(&delimited(10, &[]), len)));
    assert_refused::<UploadRequest>("traces", |len| delimited(2, &repeated(&delimited(11, &[]), len)));
    assert_refused::<UploadRequest>("times", |len| delimited(2, &delimited(6, &vec![0; len])));
    assert_refused::<UploadRequest>("lanes", |len| delimited(1, &repeated(&delimited(2, &[]), len)));
    assert_refused::<RepositoryModelLoadRequest>("load parameters", |len| entries(3, len));
    assert_refused::<UploadResponse>("known numbers", |len| delimited(1, &repeated(&delimited(1, &[]), len)));
}

fn assert_accepted<M: Message + Layout>(message: &M) {
    assert_eq!(check_size::<M>(&message.encode_to_vec()), Ok(()));
}

fn upload_of(frames: Frames) -> UploadRequest {
    UploadRequest { message: Some(upload_request::Message::Frames(frames)) }
}

#[test]
fn large_messages_of_clients_are_accepted() {
    let frame = Bytes::from(vec![7; 16 << 20]);
    assert_accepted(&DecodeRequest { frames: vec![frame.clone(); 4], ..DecodeRequest::default() });
    assert_accepted(&upload_of(Frames { lengths: vec![16 << 20], frames: frame, ..Frames::default() }));
    let contents = InferTensorContents {
        fp32_contents: vec![0.0; 4 << 20],
        int64_contents: vec![i64::MAX; 1 << 20],
        ..InferTensorContents::default()
    };
    let input = InferInputTensor {
        name: "latent".into(),
        datatype: "FP32".into(),
        shape: vec![1, 4 << 20],
        contents: Some(contents),
        ..InferInputTensor::default()
    };
    assert_accepted(&ModelInferRequest { inputs: vec![input], ..ModelInferRequest::default() });
}

#[test]
fn the_longest_uploads_of_devices_are_accepted() {
    const COUNT: usize = 1 << 16;
    let columns = Frames {
        elapsed_ms: vec![0; COUNT - 1],
        lengths: vec![0; COUNT],
        digests: vec![1; COUNT],
        ..Frames::default()
    };
    assert_accepted(&upload_of(columns.clone()));
    // Short frames, each from another source than the one before it, with a trace and from a damaged input.
    let indices = 0..COUNT as u32;
    let origins = indices.clone().map(|index| Origin { index, source: "a".into() }).collect();
    let traces = indices.clone().map(|index| Trace { index, traceparent: "0".repeat(55) }).collect();
    let marks = indices.map(|index| Mark { index, damaged: true, location: None }).collect();
    let frames = Bytes::from(vec![7; 18 * COUNT]);
    let lengths = vec![18; COUNT];
    assert_accepted(&upload_of(Frames { lengths, frames, origins, traces, marks, ..columns }));
}

#[test]
fn large_responses_are_accepted() {
    let scores = (0..1000).map(|class| ClassScore { label: class.to_string(), probability: 0.001 });
    let value = output::Value::ClassScores(ClassScores { scores: scores.collect() });
    let output = Output { value: Some(value), ..Output::default() };
    let frame = DecodedFrame { outputs: vec![output] };
    assert_accepted(&DecodeResponse { frames: vec![frame; 64] });
}

#[test]
fn errors_of_the_wire_format_are_left_to_prost() {
    // Inputs whose length, group or wire type is not that of a message, and numbers that do not end.
    let beyond_its_message = delimited(5, b"\x0a\x64");
    for message in [
        &b"\xff"[..],
        b"\x00",
        b"\x2a\x64",
        b"\x2b",
        b"\x2c",
        b"\x2f",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        &beyond_its_message[..],
    ] {
        assert!(ModelInferRequest::decode(message).is_err(), "{message:?}");
        assert_eq!(check_size::<ModelInferRequest>(message), Ok(()), "{message:?}");
    }
}

#[test]
fn unknown_fields_are_skipped() {
    let mut message = Vec::new();
    encode_key(100, WireType::StartGroup, &mut message);
    message.extend(delimited(5, &[]));
    encode_key(100, WireType::EndGroup, &mut message);
    assert_eq!(estimate::<ModelInferRequest>(&message), 0);
    message.extend(delimited(5, &[]));
    let decoded = ModelInferRequest::decode(&message[..]).unwrap();
    assert_eq!(decoded.inputs.len(), 1);
    assert!(estimate::<ModelInferRequest>(&message) >= decoded.heap());
}
