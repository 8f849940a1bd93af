//! Images that clients send to the cloud along with their frames.

use std::io::Cursor;

use image::ImageFormat;
use lopside_bundle::{
    Channels, FixedLatentDraft, HeadKind, ImageSpec, InputSpec, ScorePartSource, ScoreSpec,
};
use lopside_e2e::CloudDecoder;
use lopside_input::{ImagePolicy, decode_image_bytes};
use lopside_latent::IdOnWire;
use lopside_proto::v1::{
    Input, decoder_service_client::DecoderServiceClient, input::Value as InputValue, output::Value,
};
use tonic::{Code, Status, transport::Channel};

use super::{
    super::latents::toy::{self, even, identity, part, product, tensor},
    case::{Case, assert_none, images},
};

/// Size of the encoder's input, and the number of its samples.
const SIZE: [u32; 2] = [6, 4];
const SAMPLES: usize = 72;

/// Returns a bundle whose latent is the image itself. Its score depends on the difference from the reference input.
fn draft() -> FixedLatentDraft {
    let spec = ImageSpec::with_uniform_range(SIZE[0], SIZE[1], Channels::Rgb, 0.0, 1.0);
    let [image, latent] = ["image", "latent"].map(|name| tensor(name, &[SAMPLES as u32]));
    let mut encoder = toy::graph(&[&image]);
    product(&mut encoder, "image", &identity::<SAMPLES>(), "latent");
    let encoder = toy::model(encoder, &[&latent]);
    let mut draft = toy::draft(InputSpec::Picture(spec), image, encoder, vec![toy::layer(latent.clone())]);
    let [columns, reconstruction] = [tensor("columns", &[1]), tensor("reconstruction", &[SAMPLES as u32])];
    let mut graph = toy::graph(&[&latent]);
    product(&mut graph, "latent", &[[1.0]; SAMPLES], "columns");
    product(&mut graph, "latent", &identity::<SAMPLES>(), "reconstruction");
    let model = toy::model(graph, &[&columns, &reconstruction]);
    let kind = HeadKind::Score(ScoreSpec {
        parts: vec![part("sum", ScorePartSource::Column(0), 1.0), part("error", ScorePartSource::Error, 1.0)],
        quantiles: even(4.0),
        quantiles_with_input: Some(even(4.0)),
        threshold: 0.6,
        reconstruction: Some(reconstruction),
    });
    draft.heads.push(toy::head("score", kind, &["latent"], columns, model));
    draft
}

/// Returns the score of a black frame whose input was this file. Its heat map shows the pixels of the file.
async fn score(
    client: &mut DecoderServiceClient<Channel>,
    black: &[u8],
    file: Vec<u8>,
) -> Result<Option<Value>, Box<Status>> {
    let input = Input { value: Some(InputValue::Picture(file)) };
    let request = toy::request(vec![black.to_vec()], &["score"], vec![input]);
    let response = client.decode(request).await.map_err(Box::new)?;
    Ok(response.into_inner().frames.remove(0).outputs.remove(0).value)
}

#[tokio::test]
async fn the_cloud_reads_or_refuses_every_image_as_the_library_does() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle");
    draft().write(&bundle, "# Toy\n").unwrap();
    let black = draft().build_space().unwrap().encode(&[0.0; SAMPLES], IdOnWire::Present).unwrap();
    let cloud = CloudDecoder::start(&[&bundle]);
    let mut client = DecoderServiceClient::connect(cloud.url.clone()).await.unwrap();
    let mut problems = Vec::new();
    for case in images().filter(|case| case.options.is_empty()) {
        let found = score(&mut client, &black, case.bytes()).await;
        if let Err(text) = check(case, &mut client, &black, found).await {
            problems.push(format!("{}: {text}", case.file));
        }
    }
    assert_none(&problems);
}

async fn check(
    case: &Case,
    client: &mut DecoderServiceClient<Channel>,
    black: &[u8],
    found: Result<Option<Value>, Box<Status>>,
) -> Result<(), String> {
    let found = match found {
        Ok(_) if case.is_refused() => return Err("it is read".into()),
        Ok(found) => found,
        Err(status) if status.code() == Code::InvalidArgument && case.expects_message(status.message()) => {
            return Ok(());
        }
        Err(status) => return Err(status.to_string()),
    };
    let read =
        decode_image_bytes(&case.bytes(), &ImagePolicy::default()).map_err(|error| error.to_string())?;
    let mut png = Cursor::new(Vec::new());
    read.image.write_to(&mut png, ImageFormat::Png).unwrap();
    let expected = score(client, black, png.into_inner()).await.unwrap();
    if found == expected { Ok(()) } else { Err(format!("{found:?}, not {expected:?}")) }
}
