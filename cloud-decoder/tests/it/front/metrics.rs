//! The names of metrics follow the rules of Prometheus, as `promtool check metrics` checks them.

use std::{collections::BTreeSet, fs, path::Path};

use axum::{body::Body, http::Request};
use http_body_util::BodyExt as _;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use lopside_proto::v1::ListBundlesRequest;

use super::{
    process::ServerProcess,
    service::{decoder_client, get},
};

/// Units in which names must be, and units that they must not have.
const BASE_UNITS: [&str; 10] =
    ["amperes", "bytes", "celsius", "grams", "joules", "kelvin", "meters", "metres", "seconds", "volts"];
const OTHER_UNITS: [&str; 14] = [
    "bits",
    "calories",
    "days",
    "fahrenheit",
    "hours",
    "inches",
    "kelvins",
    "miles",
    "minutes",
    "ounces",
    "pounds",
    "rankine",
    "weeks",
    "yards",
];
const PREFIXES: [&str; 18] = [
    "centi", "deca", "deci", "giga", "gibi", "hecto", "kibi", "kilo", "mebi", "mega", "micro", "milli",
    "nano", "pebi", "peta", "pico", "tebi", "tera",
];
const ABBREVIATED_UNITS: [&str; 14] =
    ["s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"];
const KINDS: [&str; 5] = ["counter", "gauge", "histogram", "summary", "untyped"];

/// Returns the violations of the rules by the metrics of a text, as `NAME: RULE`.
fn violations(text: &str) -> BTreeSet<String> {
    let entries = |prefix: &'static str| {
        text.lines().filter_map(move |line| line.strip_prefix(prefix)?.split_once(' '))
    };
    let mut found = BTreeSet::new();
    for (name, kind) in entries("# TYPE ") {
        if !entries("# HELP ").any(|(other, help)| other == name && !help.trim().is_empty()) {
            found.insert(format!("{name}: no help text"));
        }
        found.extend(name_violations(name, kind).into_iter().map(|rule| format!("{name}: {rule}")));
    }
    for (name, labels) in text.lines().filter_map(|line| line.split_once('{')) {
        let labels = labels.split(',').filter_map(|label| label.split_once('='));
        let camel_case = labels.map(|(label, _)| label).chain([name]).filter(|text| is_camel_case(text));
        found.extend(camel_case.map(|text| format!("{name}: {text} is in camel case")));
    }
    found
}

fn name_violations(name: &str, kind: &str) -> Vec<&'static str> {
    let is_distribution = ["histogram", "summary"].contains(&kind);
    let words: Vec<&str> = name.split('_').collect();
    let rules = [
        (kind == "counter" && !name.ends_with("_total"), "a counter ends with _total"),
        (kind != "counter" && name.ends_with("_total"), "only a counter ends with _total"),
        (
            !is_distribution && ["_count", "_sum", "_bucket"].iter().any(|end| name.ends_with(end)),
            "only a histogram or a summary ends with _count, _sum or _bucket",
        ),
        (name.contains(':'), "colons are for recording rules"),
        (words.iter().any(|word| KINDS.contains(word)), "the kind is part of the name"),
        (words.iter().any(|word| ABBREVIATED_UNITS.contains(word)), "a unit is abbreviated"),
        (words.iter().any(|word| is_other_unit(word)), "the unit is not a base unit"),
    ];
    rules.into_iter().filter(|(is_violated, _)| *is_violated).map(|(_, rule)| rule).collect()
}

fn is_other_unit(word: &str) -> bool {
    let scaled = PREFIXES.iter().find_map(|prefix| word.strip_prefix(prefix));
    OTHER_UNITS.contains(&word)
        || scaled.is_some_and(|unit| [&BASE_UNITS[..], &OTHER_UNITS].concat().contains(&unit))
}

fn is_camel_case(text: &str) -> bool {
    text.as_bytes().windows(2).any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase())
}

#[tokio::test]
async fn every_metric_follows_the_rules() {
    let server = ServerProcess::start(&[]);
    // Some metrics exist only after a call: over gRPC, over REST, and to a head.
    let mut client = decoder_client(&server.url).await;
    client.list_bundles(ListBundlesRequest {}).await.unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bundles/fashion/golden");
    let mut files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let frame = files.find(|path| path.extension().is_some_and(|extension| extension == "lps")).unwrap();
    let request = Request::post(format!("{}/v1/bundles/fashion/decode", server.url));
    let request = request.body(Body::from(fs::read(frame).unwrap())).unwrap();
    let response = Client::builder(TokioExecutor::new()).build_http::<Body>().request(request).await.unwrap();
    assert_eq!(response.status(), 200);

    let body = get(&server.url, "/metrics").await.into_body().collect().await.unwrap().to_bytes();
    let text = std::str::from_utf8(&body).unwrap();
    for name in [
        "rpc_server_call_duration_seconds",
        "http_server_request_duration_seconds",
        "lopside_infer_duration_seconds",
    ] {
        assert!(text.contains(&format!("# TYPE {name} histogram")), "{name}: {text}");
    }
    assert_eq!(violations(text), BTreeSet::new());
}

#[test]
fn violations_are_found() {
    for (text, expected) in [
        ("# TYPE a gauge", "a: no help text"),
        ("# HELP a b\n# TYPE a counter", "a: a counter ends with _total"),
        ("# HELP a_total b\n# TYPE a_total gauge", "a_total: only a counter ends with _total"),
        ("# HELP a_count b\n# TYPE a_count gauge", "a_count: only a histogram or a summary ends with"),
        (
            "# HELP a_milliseconds b\n# TYPE a_milliseconds gauge",
            "a_milliseconds: the unit is not a base unit",
        ),
        ("# HELP a_hours b\n# TYPE a_hours gauge", "a_hours: the unit is not a base unit"),
        ("# HELP a_ms b\n# TYPE a_ms gauge", "a_ms: a unit is abbreviated"),
        ("# HELP a_gauge b\n# TYPE a_gauge gauge", "a_gauge: the kind is part of the name"),
        ("# HELP a b\n# TYPE a gauge\na{firstLabel=\"1\"} 1", "a: firstLabel is in camel case"),
    ] {
        let found = violations(text);
        let first = found.first().unwrap();
        assert!(found.len() == 1 && first.starts_with(expected), "{text:?}: {found:?}");
    }
    let valid =
        "# HELP a_seconds b\n# TYPE a_seconds histogram\na_seconds_bucket{le=\"1\"} 1\na_seconds_count 1";
    assert_eq!(violations(valid), BTreeSet::new());
}
