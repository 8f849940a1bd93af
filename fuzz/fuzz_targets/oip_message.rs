//! Arbitrary bytes as an inference request of the Open Inference Protocol over gRPC.

#![no_main]

use cloud_decoder::fuzzing::read_inference_message;
use lopside_fuzz::fuzz_target;
use lopside_proto::inference::ModelInferRequest;
use prost::Message as _;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = ModelInferRequest::decode(bytes) {
        read_inference_message(request);
    }
});
