//! Requests for several heads, of which one is slow.

use lopside_proto::{
    inference::grpc_inference_service_client::GrpcInferenceServiceClient,
    v1::{DecodeRequest, OutputRequest, decoder_service_client::DecoderServiceClient},
};
use tonic::transport::Endpoint;

use super::{
    bundles::{self, Head, frame, head},
    support::{Cloud, floats, infer, options},
};

/// The job of a request that waits for its slow head must not keep a job of another request in the queue of the quick
/// head.
#[tokio::test]
async fn a_quick_head_answers_while_another_request_waits_for_its_slow_head() {
    let folder = tempfile::tempdir().unwrap();
    let slow = Head { name: "slow", version: 3, slow: true };
    bundles::write(&folder.path().join("a"), "a", "e", &[slow, head("quick", 2)]);
    let mut options = options(folder.path());
    options.max_batch = Some(32);
    let cloud = Cloud::start_with(options).await;
    // Requests of one connection arrive in the order in which they are sent.
    let connection = Endpoint::from_shared(cloud.url.clone()).unwrap().connect().await.unwrap();
    let mut client = GrpcInferenceServiceClient::new(connection.clone());
    let mut other_client = client.clone();
    let mut decoder = DecoderServiceClient::new(connection);
    // Afterwards, a full batch of the quick head is expected.
    client.model_infer(infer("a.quick", &[[1.0, 2.0]; 64])).await.unwrap();

    // The slow head is busy, so that the second request waits for it.
    let long = client.model_infer(infer("a.slow", &[[1.0, 2.0]; 64]));
    let outputs = ["slow", "quick"].map(|head| OutputRequest { head: head.into(), ..Default::default() });
    let both = decoder.decode(DecodeRequest {
        frames: vec![frame("e", [0.5, 1.5]).into()],
        outputs: outputs.into(),
        ..DecodeRequest::default()
    });
    // Too long for the thread of its connection, and not yet a full batch.
    let quick = other_client.model_infer(infer("a.quick", &[[1.0, 2.0]; 30]));
    tokio::pin!(long, both, quick);
    let response = tokio::select! {
        biased;
        _ = &mut long => panic!("the quick head waited for the slow head"),
        _ = &mut both => panic!("the quick head waited for the request before it"),
        response = &mut quick => response.unwrap().into_inner(),
    };
    assert_eq!(floats(&response.raw_output_contents[0]), [2.0, 4.0].repeat(30));
    let both = both.await.unwrap().into_inner();
    let heads: Vec<&str> = both.frames[0].outputs.iter().map(|output| output.head.as_str()).collect();
    assert_eq!(heads, ["slow", "quick"]);
    long.await.unwrap();
}
