//! Images in the streams of an agent.

use std::{fmt::Write as _, fs, path::Path};

use edge_encoder::agent::{AgentReport, SourceReport};
use lopside_e2e::{CloudDecoder, in_clone};
use lopside_proto::v1::{
    DecodeRequest, OutputRequest, decoder_service_client::DecoderServiceClient, output::Value,
};
use lopside_quality::psnr;

use super::{
    agent::{Agent, Archived, Site, is_settled, source},
    case::{Case, assert_none, images, streams},
    expected::FRAMES,
};

/// The least similarity of a decoded image with the reference, in dB.
const MIN_DECODED_DB: f64 = 22.0;
/// The source of all JPEG files, one directly after the other.
const ALL: &str = "all";

/// Returns the table of a source that reads a file once.
fn table(name: &str, path: &Path, format: &str, options: &str) -> String {
    let options = Case::config(options);
    format!(
        "[[source]]\nname = '{name}'\ncommand = ['/bin/cat', '{}']\nrestart = 'never'\nformat = '{format}'\n{options}",
        path.display()
    )
}

/// Returns the number of frames that a line is worth.
fn expected_frames(case: &Case) -> u64 {
    match (case.is_refused(), case.note("images")) {
        (true, _) => 0,
        (false, 0) => 1,
        (false, images) => images,
    }
}

/// Returns what is wrong with the counts and the message of a source.
fn check_source(case: &Case, source: &SourceReport) -> Option<String> {
    let lost = source.failed + source.damaged;
    let (encoded, expected) = (source.encoded, expected_frames(case));
    if encoded != expected || (lost > 0) != case.is_refused() {
        return Some(format!("{}: {encoded} frames, not {expected}; {lost} refused: {source:?}", case.file));
    }
    let message = source.last_error.as_deref().filter(|_| source.failed > 0)?;
    (!case.expects_message(message)).then(|| format!("{}: another refusal: {message}", case.file))
}

fn frames_of<'a>(archived: &'a [Archived], name: &str) -> Vec<&'a [u8]> {
    let of_source = archived.iter().filter(|archived| archived.source == name);
    of_source.map(|archived| &archived.frame[..]).collect()
}

#[tokio::test]
async fn an_image_of_a_stream_is_that_of_the_file() {
    let bundle = in_clone("bundles/photo");
    let cases: Vec<&Case> = images().filter(|case| case.stream.is_some()).collect();
    let jpegs: Vec<&Case> =
        cases.iter().copied().filter(|case| case.stream.as_deref() == Some("mjpeg")).collect();
    let folder = tempfile::tempdir().unwrap();
    let all = folder.path().join("all.mjpeg");
    fs::write(&all, jpegs.iter().flat_map(|case| case.bytes()).collect::<Vec<u8>>()).unwrap();
    let mut tables = table(ALL, &all, "mjpeg", "");
    for case in &cases {
        let format = case.stream.as_deref().unwrap();
        let _ = write!(tables, "{}", table(&case.label, &case.path(), format, ""));
    }

    let site = Site::start(&bundle);
    let agent = Agent::start(&site, "gate-7", &bundle, "", &tables);
    let is_done = |report: &AgentReport| {
        is_settled(source(report, ALL)) && cases.iter().all(|case| is_settled(source(report, &case.label)))
    };
    let report = agent.until_sent(is_done).await;
    agent.stop();
    let mut problems: Vec<String> =
        cases.iter().filter_map(|case| check_source(case, source(&report, &case.label))).collect();
    let archived = site.archived().await;
    for case in cases.iter().filter(|case| !case.is_refused()) {
        let expected = FRAMES.get(&case.label).map(|frame| &frame[..]);
        if frames_of(&archived, &case.label) != expected.into_iter().collect::<Vec<_>>() {
            problems.push(format!("{}: another frame than that of the file", case.file));
        }
    }
    let (all, refused) = (source(&report, ALL), jpegs.iter().filter(|case| case.is_refused()).count());
    if all.failed + all.damaged != refused as u64 {
        problems.push(format!("{refused} files are refused one by one, and one behind the other: {all:?}"));
    }
    // A damaged file must not spoil the one behind it.
    let expected = jpegs.iter().filter_map(|case| FRAMES.get(&case.label).map(|frame| &frame[..]));
    if frames_of(&archived, ALL) != expected.collect::<Vec<_>>() {
        problems.push("the files one behind the other are not those one by one".to_owned());
    }
    assert_none(&problems);
}

#[tokio::test]
async fn raw_samples_and_streams_show_their_references() {
    let bundle = in_clone("bundles/photo");
    let cases: Vec<&Case> = streams().collect();
    let tables: String = cases
        .iter()
        .map(|case| table(&case.label, &case.path(), case.stream.as_deref().unwrap(), &case.options))
        .collect();
    let site = Site::start(&bundle);
    let agent = Agent::start(&site, "gate-7", &bundle, "", &tables);
    let is_done = |report: &AgentReport| cases.iter().all(|case| is_settled(source(report, &case.label)));
    let report = agent.until_sent(is_done).await;
    agent.stop();
    let mut problems: Vec<String> =
        cases.iter().filter_map(|case| check_source(case, source(&report, &case.label))).collect();
    let archived = site.archived().await;
    let cloud = CloudDecoder::start(&[&bundle]);
    let mut client = DecoderServiceClient::connect(cloud.url.clone()).await.unwrap();
    for case in &cases {
        let Some((reference, _)) = case.reference_image() else { continue };
        for frame in frames_of(&archived, &case.label) {
            let output = OutputRequest { head: "reconstruct".into(), format: 0, version: 0 };
            let request = DecodeRequest {
                frames: vec![frame.to_vec().into()],
                bundle: String::new(),
                outputs: vec![output],
                inputs: Vec::new(),
            };
            let mut response = client.decode(request).await.unwrap().into_inner();
            let Some(Value::Png(png)) = response.frames.remove(0).outputs.remove(0).value else {
                panic!("the output is not an image")
            };
            let decoded = image::load_from_memory(&png).unwrap().into_rgb8().into();
            let db = psnr(&decoded, &reference.to_rgb8().into());
            if !db.as_ref().is_ok_and(|db| *db >= MIN_DECODED_DB) {
                problems.push(format!("{}: {db:?} dB", case.file));
            }
        }
    }
    assert_none(&problems);
}
