//! The features of outside crates, as cargo resolves them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

/// Returns the sets of features with which each outside crate of the workspace is compiled.
fn feature_sets(edges: &str) -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let arguments = [
        "tree",
        "--workspace",
        "--locked",
        "--prefix",
        "none",
        "--no-dedupe",
        "--format",
        "{p}\t{f}",
        "--edges",
    ];
    let output = Command::new(env!("CARGO")).args(arguments).arg(edges).current_dir(root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut sets: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        if let Some((package, features)) = line.split_once('\t') {
            let features = features.trim_end_matches(" (*)").to_owned();
            sets.entry(package.to_owned()).or_default().insert(features);
        }
    }
    sets
}

#[test]
fn a_build_with_tests_compiles_no_crate_a_second_time() {
    let (without_tests, with_tests) = (feature_sets("normal,build"), feature_sets("normal,build,dev"));
    assert!(without_tests.len() > 300, "{}", without_tests.len());
    for (package, sets) in &without_tests {
        let of_tests = &with_tests[package];
        assert!(
            sets.is_subset(of_tests),
            "a build with tests compiles {package} with other features, and all crates that depend on it: {of_tests:?} \
             instead of {sets:?}; list them under [dependencies] in e2e/Cargo.toml"
        );
    }
}
