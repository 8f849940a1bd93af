//! The OpenAPI document does not change unnoticed.

use std::{env, fs, path::Path};

#[test]
fn the_document_matches_the_golden_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/openapi.json");
    let document = cloud_decoder::openapi_document().to_pretty_json().unwrap() + "\n";
    if env::var_os("LOPSIDE_RENEW_GOLDEN").is_some() {
        fs::write(&path, &document).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    let first_difference =
        document.lines().zip(golden.lines()).position(|(document, golden)| document != golden);
    assert!(
        document == golden,
        "the document differs from line {} on: check the difference, then run this test with LOPSIDE_RENEW_GOLDEN=1",
        first_difference.unwrap_or_else(|| document.lines().count().min(golden.lines().count())) + 1
    );
}

#[test]
fn every_refusal_has_the_same_body() {
    let document: serde_json::Value =
        serde_json::from_str(&cloud_decoder::openapi_document().to_json().unwrap()).unwrap();
    let operations = document["paths"].as_object().unwrap().values();
    let operations = operations.flat_map(|path| path.as_object().unwrap().values());
    let responses = operations.flat_map(|operation| operation["responses"].as_object().unwrap());
    let mut refusals = 0;
    for (status, response) in responses.filter(|(status, _)| status.as_str() >= "400") {
        let body = &response["content"]["application/json"]["schema"]["$ref"];
        assert_eq!(body, "#/components/schemas/Error", "{status}");
        refusals += 1;
    }
    assert!(refusals > 30, "{refusals}");
}
