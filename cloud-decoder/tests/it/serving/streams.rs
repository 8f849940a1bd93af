//! Streams of requests: `ModelStreamInfer`.

use lopside_proto::inference::{
    InferParameter, ModelInferRequest, ModelStreamInferResponse, infer_parameter::ParameterChoice,
};
use tempfile::TempDir;
use tokio_stream::StreamExt as _;

use super::{
    bundles::{self, Head, head},
    support::{Cloud, floats, infer, options},
};

/// A quick and a slow model, both of which multiply by 3.
async fn cloud() -> (Cloud, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let slow = Head { name: "slow", version: 3, slow: true };
    bundles::write(&folder.path().join("a"), "a", "e", &[head("times", 3), slow]);
    let mut options = options(folder.path());
    options.max_batch = Some(16);
    (Cloud::start_with(options).await, folder)
}

async fn send_all(cloud: &Cloud, requests: Vec<ModelInferRequest>) -> Vec<ModelStreamInferResponse> {
    let responses = cloud.client().await.model_stream_infer(tokio_stream::iter(requests)).await.unwrap();
    responses.into_inner().map(Result::unwrap).collect().await
}

fn ids(responses: &[ModelStreamInferResponse]) -> Vec<usize> {
    let responses = responses.iter().map(|response| response.infer_response.as_ref().unwrap());
    responses.map(|response| response.id.parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_in_the_order_of_the_requests_whatever_each_costs() {
    let (cloud, _folder) = cloud().await;
    // Slow ones of several sizes, quick ones, and ones that fail at once.
    let requests: Vec<_> = (0..90_usize)
        .map(|number| {
            let (model, items) = match number % 3 {
                0 => ("a.slow", 1 + number % 5),
                1 => ("a.times", 1),
                _ => ("a.nothing", 1),
            };
            ModelInferRequest { id: number.to_string(), ..infer(model, &vec![[number as f32, 1.0]; items]) }
        })
        .collect();
    let responses = send_all(&cloud, requests).await;
    assert_eq!(ids(&responses), (0..90).collect::<Vec<_>>());
    for (number, response) in responses.iter().enumerate() {
        let outputs = &response.infer_response.as_ref().unwrap().raw_output_contents;
        if number % 3 == 2 {
            assert!(response.error_message.contains("nothing") && outputs.is_empty(), "{response:?}");
        } else {
            assert_eq!(floats(&outputs[0])[..2], [3.0 * number as f32, 3.0]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_requests_of_a_stream_still_run_at_once() {
    let (cloud, _folder) = cloud().await;
    let requests: Vec<_> = (0..32_usize)
        .map(|number| ModelInferRequest { id: number.to_string(), ..infer("a.slow", &[[1.0, 1.0]]) })
        .collect();
    assert_eq!(ids(&send_all(&cloud, requests).await), (0..32).collect::<Vec<_>>());
    // A run takes longer than the arrival of the other requests, which therefore share runs.
    let stats = cloud.statistics("a.slow").await;
    let runs = stats["execution_count"].as_u64().unwrap();
    assert!(stats["inference_count"] == 32 && runs < 16, "{stats}");
}

#[tokio::test]
async fn every_answer_says_that_it_is_the_last_one_for_its_request() {
    let (cloud, _folder) = cloud().await;
    let request = |id: &str, model: &str, parameter: Option<ParameterChoice>| {
        let parameter = parameter.map(|choice| InferParameter { parameter_choice: Some(choice) });
        let parameters = parameter.map(|value| ("triton_enable_empty_final_response".to_owned(), value));
        let request = ModelInferRequest { id: id.to_owned(), ..infer(model, &[[1.0, 2.0]]) };
        ModelInferRequest { parameters: parameters.into_iter().collect(), ..request }
    };
    let responses = send_all(
        &cloud,
        vec![
            request("0", "a.times", None),
            request("1", "a.times", Some(ParameterChoice::BoolParam(true))),
            request("2", "a.nothing", Some(ParameterChoice::BoolParam(true))),
            request("3", "a.times", Some(ParameterChoice::StringParam("yes".into()))),
        ],
    )
    .await;
    // A model that answers once has no empty answer after that one, with or without the parameter.
    assert_eq!(ids(&responses), [0, 1, 2, 3]);
    for response in &responses {
        let parameters = &response.infer_response.as_ref().unwrap().parameters;
        let is_final = parameters["triton_final_response"].parameter_choice.as_ref();
        assert_eq!(is_final, Some(&ParameterChoice::BoolParam(true)), "{response:?}");
    }
    let errors: Vec<bool> = responses.iter().map(|response| !response.error_message.is_empty()).collect();
    assert_eq!(errors, [false, false, true, true]);
    let refusal = &responses[3].error_message;
    assert!(refusal.contains("triton_enable_empty_final_response"), "{refusal}");
}
