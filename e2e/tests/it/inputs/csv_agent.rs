//! Tables in the watched folders and the streams of agents.

use std::fs;

use edge_encoder::agent::AgentReport;
use lopside_bundle::TableSpec;

use super::{
    agent::{Agent, Archived, Site, is_settled, source},
    case::{Case, assert_none, by_options, table_spec, tables},
    csv::{expected_frames, write_bundle},
};

fn frames_of<'a>(archived: &'a [Archived], device: &str, source: &str) -> Vec<&'a [u8]> {
    let is_of = |archived: &&Archived| archived.device == device && archived.source == source;
    archived.iter().filter(is_of).map(|archived| &archived.frame[..]).collect()
}

fn frame_count(cases: &[&Case]) -> u64 {
    cases.iter().map(|case| expected_frames(case).len() as u64).sum()
}

/// The latent space does not depend on the form of tables, so one archive takes the frames of all agents.
fn start_site() -> (tempfile::TempDir, Site) {
    let (folder, bundle) = write_bundle(&TableSpec::default());
    let site = Site::start(&bundle);
    (folder, site)
}

#[tokio::test]
async fn a_watched_folder_encodes_or_puts_aside_every_table() {
    let (_folder, site) = start_site();
    let mut groups = Vec::new();
    let mut problems = Vec::new();
    for (number, (options, cases)) in by_options(tables()).into_iter().enumerate() {
        let (folder, bundle) = write_bundle(&table_spec(options));
        let inbox = folder.path().join("inbox");
        fs::create_dir(&inbox).unwrap();
        for case in &cases {
            case.copy_into(&inbox);
        }
        let device = format!("device-{number}");
        let table = format!("[[source]]\nname = 'inbox'\nfolder = {inbox:?}\nsettle_seconds = 0.1\n");
        let agent = Agent::start(&site, &device, &bundle, "", &table);
        let refused = cases.iter().filter(|case| case.is_refused()).count() as u64;
        let is_done = |report: &AgentReport| {
            let inbox = source(report, "inbox");
            inbox.encoded >= frame_count(&cases) && inbox.failed >= refused
        };
        let report = agent.until_sent(is_done).await;
        agent.stop();
        let counts = (source(&report, "inbox").encoded, source(&report, "inbox").failed);
        if counts != (frame_count(&cases), refused) {
            problems.push(format!("{options}: encoded and failed: {counts:?}"));
        }
        for case in cases.iter().filter(|case| case.is_refused()) {
            if !inbox.join("failed").join(format!("{}.csv", case.label)).is_file() {
                problems.push(format!("{}: it is not in `failed`", case.file));
            }
        }
        groups.push((device, cases));
    }
    let archived = site.archived().await;
    for (device, cases) in groups {
        let mut expected: Vec<&[u8]> =
            cases.iter().flat_map(|case| expected_frames(case)).map(|frame| &frame[..]).collect();
        let mut found = frames_of(&archived, &device, "inbox");
        expected.sort_unstable();
        found.sort_unstable();
        if found != expected {
            let options = &cases[0].options;
            problems.push(format!(
                "{options}: {} frames, not the {} expected ones",
                found.len(),
                expected.len()
            ));
        }
    }
    assert_none(&problems);
}

#[tokio::test]
async fn the_windows_of_a_stream_are_those_of_the_file() {
    let (_folder, site) = start_site();
    let mut problems = Vec::new();
    let mut groups = Vec::new();
    for (number, (options, cases)) in
        by_options(tables().filter(|case| case.stream.is_some())).into_iter().enumerate()
    {
        let (_folder, bundle) = write_bundle(&table_spec(options));
        let table = |case: &&Case| {
            let (label, path) = (&case.label, case.path());
            format!("[[source]]\nname = {label:?}\ncommand = ['/bin/cat', {path:?}]\nrestart = 'never'\n")
        };
        let device = format!("device-{number}");
        let sources = cases.iter().map(table).collect::<String>();
        let agent = Agent::start(&site, &device, &bundle, "", &sources);
        let is_done = |report: &AgentReport| cases.iter().all(|case| is_settled(source(report, &case.label)));
        let report = agent.until_sent(is_done).await;
        agent.stop();
        for case in &cases {
            let source = source(&report, &case.label);
            let rows = source.rows;
            let found = [rows.used, rows.unused, rows.missing, rows.refused, rows.held, rows.gaps];
            let expected =
                ["used", "unused", "missing", "refused", "held", "gaps"].map(|name| case.note(name));
            if !case.is_refused() && (found, source.failed) != (expected, 0) {
                problems.push(format!("{}: {source:?}", case.file));
            }
        }
        groups.push((device, cases));
    }
    let archived = site.archived().await;
    for (device, cases) in groups {
        for case in cases {
            let expected: Vec<&[u8]> = expected_frames(case).iter().map(|frame| &frame[..]).collect();
            if frames_of(&archived, &device, &case.label) != expected {
                problems.push(format!("{}: other frames than those of the file", case.file));
            }
        }
    }
    assert_none(&problems);
}
