//! A bundle whose inputs are windows of 3 rows of 2 channels, every 2 rows. The latent is the standardised
//! window; the decoder reconstructs the volts, and returns the mean for the amperes. The column of the score
//! is twice the first value.

use std::{fs, path::Path};

use axum::http::{Request, StatusCode};
use lopside_bundle::{FixedLatentDraft, HeadKind, InputSpec, ScorePartSource, ScoreSpec, TimeSeriesSpec};
use lopside_e2e::{CloudDecoder, run_failing, run_stdout};
use lopside_proto::v1::{
    Input, OutputFormat, OutputRequest, Tensor, decoder_service_client::DecoderServiceClient,
    input::Value as InputValue, output::Value as OutputValue,
};
use serde_json::Value;
use tonic::Code;

use super::toy::{self, edge, even, identity, near, npy, part, product, refusal, tensor};

/// Six rows: windows begin at rows 0, 2 and 3.
const ROWS: [[f32; 2]; 6] = [[12.0, -1.0], [10.0, 1.0], [8.0, 0.0], [10.0, -2.0], [14.0, -1.0], [6.0, -1.0]];
const CSV: &str =
    "time, amperes, volts\n# a comment\n0, -1, 12\n1, 1, 10\n2, 0, 8\n3, -2, 10\n4, -1, 14\n5, -1, 6\n";

fn spec() -> TimeSeriesSpec {
    TimeSeriesSpec {
        length: 3,
        stride: 2,
        channels: vec!["volts".into(), "amperes".into()],
        mean: vec![10.0, -1.0],
        deviation: vec![2.0, 0.5],
    }
}

fn draft() -> FixedLatentDraft {
    let [window, latent] = [tensor("window", &[3, 2]), tensor("latent", &[6])];
    let mut encoder = toy::graph(&[&window]);
    encoder.flatten("window", "flat");
    product(&mut encoder, "flat", &identity::<6>(), "latent");
    let encoder = toy::model(encoder, &[&latent]);
    let mut draft = toy::draft(InputSpec::Series(spec()), window, encoder, vec![toy::layer(latent.clone())]);
    let mut volts = identity::<6>();
    for row in [1, 3, 5] {
        volts[row] = [0.0; 6];
    }

    // The output is flat: the shape of a window comes from the manifest.
    let reconstruction = tensor("reconstruction", &[6]);
    let mut graph = toy::graph(&[&latent]);
    product(&mut graph, "latent", &volts, "reconstruction");
    let model = toy::model(graph, &[&reconstruction]);
    draft.heads.push(toy::head(
        "reconstruct",
        HeadKind::Series(spec()),
        &["latent"],
        reconstruction.clone(),
        model,
    ));

    let columns = tensor("columns", &[1]);
    let mut graph = toy::graph(&[&latent]);
    let mut first = [[0.0]; 6];
    first[0] = [2.0];
    product(&mut graph, "latent", &first, "columns");
    product(&mut graph, "latent", &volts, "reconstruction");
    let model = toy::model(graph, &[&columns, &reconstruction]);
    let kind = HeadKind::Score(ScoreSpec {
        parts: vec![
            part("first", ScorePartSource::Column(0), 1.0),
            part("error", ScorePartSource::Error, 1.0),
        ],
        quantiles: even(8.0),
        quantiles_with_input: Some(even(16.0)),
        threshold: 0.5,
        reconstruction: Some(reconstruction),
    });
    draft.heads.push(toy::head("score", kind, &["latent"], columns, model));
    draft
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    draft().write(&folder.path().join("bundle"), "# Toy\n").unwrap();
    fs::write(folder.path().join("log.csv"), CSV).unwrap();
    folder
}

fn frames(folder: &Path) -> Vec<Vec<u8>> {
    ["00000", "00001", "00002"]
        .map(|number| fs::read(folder.join(format!("out/log-{number}.lps"))).unwrap())
        .into()
}

#[test]
fn csv_and_npy_give_the_same_frames() {
    let folder = folder();
    let encode = |name: &str| {
        assert_eq!(toy::json(folder.path(), "encode", &[name])["frames"], 3, "{name}");
        frames(folder.path())
    };
    let expected = encode("log.csv");
    let [first, second, third] = &expected[..] else { panic!() };
    assert!(first != second && second != third && first != third);

    let rows = ROWS.as_flattened();
    fs::create_dir(folder.path().join("arrays")).unwrap();
    fs::write(folder.path().join("arrays/log.npy"), npy(&[6, 2], rows)).unwrap();
    assert_eq!(encode("arrays/log.npy"), expected);
    let windows = [&ROWS[0..3], &ROWS[2..5], &ROWS[3..6]].map(<[_]>::as_flattened).concat();
    fs::write(folder.path().join("arrays/log.npy"), npy(&[3, 3, 2], &windows)).unwrap();
    assert_eq!(encode("arrays"), expected);
    // Without names, the columns must be in the bundle's order.
    let unnamed: String = ROWS.iter().map(|[volts, amperes]| format!("{volts},{amperes}\n")).collect();
    fs::write(folder.path().join("log.csv"), unnamed).unwrap();
    assert_eq!(encode("log.csv"), expected);

    let inspection = toy::json(folder.path(), "inspect", &["out/log-00000.lps"]);
    assert_eq!(inspection["shape"], serde_json::json!([6]));
    // Each integer is (number − mean) / deviation · gain.
    assert_eq!(inspection["integers"], serde_json::json!([10, 0, 0, 40, -10, 20]));
}

/// Returns the root-mean-square errors of the decoded windows of [`ROWS`]: the amperes differ from their mean
/// by 2 and 1 in the first window, by 1 and 1 in the second, and by 1 in the third.
fn expected_rmse() -> [f64; 3] {
    [5.0, 2.0, 1.0].map(|squares: f64| (squares / 6.0).sqrt())
}

#[test]
fn windows_are_returned_in_their_own_units() {
    let folder = folder();
    let cloud = CloudDecoder::start(&[&folder.path().join("bundle")]);
    let send = |extra_args: &[&str]| {
        toy::json(folder.path(), "send", &[&["--endpoint", &cloud.url, "log.csv"], extra_args].concat())
    };
    let report = send(&[]);
    let rows = report["pictures"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    for (row, rmse) in rows.iter().zip(expected_rmse()) {
        assert!(near(row["rmse"].as_f64().unwrap(), rmse), "{row}");
        assert_eq!((&row["raw_bytes"], row.get("psnr_db")), (&24.into(), None));
    }
    // The first window scores twice (12 − 10) / 2, which is 2. The second scores −2, below any normal sample,
    // and the third 0.
    let score = |row: usize| rows[row]["score"].as_f64().unwrap();
    assert!(near(score(0), 2.0) && near(score(1), -2.0), "{report}");
    assert!(near(rows[0]["quantile"].as_f64().unwrap(), 0.25), "{report}");
    assert_eq!((&rows[0]["anomalous"], &rows[1]["quantile"]), (&0.0.into(), &0.0.into()));
    let text = fs::read_to_string(folder.path().join("out/report.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), report);

    let csv = fs::read_to_string(folder.path().join("out/log-00000.csv")).unwrap();
    assert_eq!(csv, "volts,amperes,volts decoded,amperes decoded\n12,-1,12,-1\n10,1,10,-1\n8,0,8,-1\n");
    let table = fs::read_to_string(folder.path().join("out/table.txt")).unwrap();
    let heading: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(heading[..3], ["input", "raw", "B"]);
    assert!(["RMSE", "score", "quantile", "anomalous"].iter().all(|name| heading.contains(name)), "{table}");
    assert!(!table.contains("PSNR") && table.contains("4 bytes per number"), "{table}");

    // The error is measured in the encoder's input: the amperes differ by 4 and 2 deviations.
    let compared_report = send(&["--with-input"]);
    let row = &compared_report["pictures"][0];
    let expected = 2.0 + 20.0 / 6.0;
    assert!(near(row["score"].as_f64().unwrap(), expected), "{row}");
    assert!(near(row["quantile"].as_f64().unwrap(), expected / 16.0), "{row}");
    assert!(!folder.path().join("out/log-00000-heat-map.png").exists());
}

#[tokio::test]
async fn the_cloud_returns_windows_and_accepts_them_as_reference_inputs() {
    let folder = folder();
    let _ = run_stdout(&mut edge(folder.path(), "encode", &["log.csv"]));
    let cloud = CloudDecoder::start(&[&folder.path().join("bundle")]);
    let mut client = DecoderServiceClient::connect(cloud.url.clone()).await.unwrap();
    let frame = frames(folder.path()).swap_remove(0);
    let tensor_output =
        OutputRequest { head: "reconstruct".into(), format: OutputFormat::Tensor.into(), version: 0 };
    let mut request = toy::request(vec![frame.clone()], &["reconstruct"], Vec::new());
    request.outputs.push(tensor_output);
    let outputs = client.decode(request).await.unwrap().into_inner().frames.remove(0).outputs;
    let tensors: Vec<Tensor> = outputs
        .into_iter()
        .map(|output| match output.value {
            Some(OutputValue::Tensor(tensor)) => tensor,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(tensors[0], Tensor { shape: vec![3, 2], values: vec![12.0, -1.0, 10.0, -1.0, 8.0, -1.0] });
    assert_eq!(tensors[1], Tensor { shape: vec![6], values: vec![1.0, 0.0, 0.0, 0.0, -1.0, 0.0] });

    let input = |values: &[f32]| Input {
        value: Some(InputValue::Tensor(Tensor { shape: Vec::new(), values: values.to_vec() })),
    };
    let mut error_of = async |input| {
        let request = toy::request(vec![frame.clone()], &["score"], vec![input]);
        client.decode(request).await.map(|response| response.into_inner().frames[0].outputs[0].value.clone())
    };
    let Some(OutputValue::Anomaly(anomaly)) = error_of(input(ROWS[..3].as_flattened())).await.unwrap() else {
        panic!("no anomaly")
    };
    assert!(near(anomaly.parts[1].value.into(), 20.0 / 6.0) && anomaly.heat_map.is_empty(), "{anomaly:?}");
    for (input, expected) in [
        (input(&[0.0; 5]), "input 0: it has 5 numbers, but the encoder reads 6"),
        (input(&[f32::NAN; 6]), "input 0"),
        (
            Input { value: Some(InputValue::Picture(vec![1])) },
            "input 0: it is an image, but the encoder reads numbers",
        ),
    ] {
        let status = error_of(input).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains(expected), "{expected}: {}", status.message());
    }

    let json = Request::post("/v1/bundles/toy/decode").header("accept", "application/json");
    let (response, body) = cloud.send_http(json, frame).await;
    assert_eq!(response.status(), StatusCode::OK);
    let document: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(document["shape"], serde_json::json!([3, 2]));
    let (_, body) = cloud.send_http(Request::get("/v1/bundles/toy"), Vec::new()).await;
    let bundle: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(bundle["input"]["series"]["channels"], serde_json::json!(["volts", "amperes"]));
}

#[test]
fn invalid_files_are_refused_with_the_position() {
    let folder = folder();
    let rows = ROWS.as_flattened();
    let cases: [(&str, &[u8], &str); 9] = [
        ("a.csv", b"volts,amperes\n1,2\n3,x\n5,6\n", "a.csv: line 3, column 2: \"x\" is not a finite number"),
        ("b.csv", b"volts,amperes\n1,2\n3,nan\n5,6\n", "line 3, column 2: \"nan\""),
        ("c.csv", b"volts,amperes\n1,2\n3\n5,6\n", "line 3: it has 1 columns, but the first line has 2"),
        ("d.csv", b"time,volts\n1,2\n3,4\n5,6\n", "no header that names all of the channels: volts, amperes"),
        ("e.csv", b"u;i\n1;2\n", "line 1: it is a header that names none of volts, amperes"),
        ("f.csv", b"volts,amperes\n1,2\n3,4\n", "it has 2 rows, but a window has 3"),
        ("g.csv", b"", "it has 0 rows, but a window has 3"),
        ("h.npy", &npy(&[4, 3], rows), "shape [4, 3] is not [rows, 2] or [n, 3, 2]"),
        ("i.npy", b"no array", "not a readable .npy file"),
    ];
    for (name, text, expected) in cases {
        let error = refusal(folder.path(), name, text);
        assert!(error.contains(expected) && error.lines().count() == 1, "{expected}: {error}");
    }
    fs::create_dir(folder.path().join("empty")).unwrap();
    for (input, expected) in [("empty", "no numbers found in empty"), ("absent.csv", "absent.csv")] {
        let error = run_failing(&mut edge(folder.path(), "encode", &[input]));
        assert!(error.contains(expected) && error.lines().count() == 1, "{expected}: {error}");
    }
    let error = run_failing(&mut edge(folder.path(), "encode", &["--layers", "2", "log.csv"]));
    assert!(error.contains("the bundle's model has 1"), "{error}");
}
