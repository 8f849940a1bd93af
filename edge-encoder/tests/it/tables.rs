//! Tables of measurements in a real agent: a growing file, and a file with lines that are no rows.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
};

use edge_encoder::agent::{AgentReport, RowReport};

use super::update::{
    agent::Home,
    bundles::{Toy, bundle},
};

/// A cloud that does not exist.
const NO_CLOUD: &str = "http://127.0.0.1:9";

fn append(path: &Path, text: &str) {
    let mut file = File::options().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Returns the number of frames that wait in the spool.
fn pending(report: &AgentReport) -> u64 {
    report.spool.classes.iter().map(|class| class.pending).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_a_growing_file_is_encoded_once_through_kills() {
    let root = tempfile::tempdir().unwrap();
    let toy = bundle(root.path(), "toy", Toy::Window);
    let mut home = Home::new(NO_CLOUD);
    let log = home.path("log.csv");
    append(&log, "d;c;b;a;Time\n1,5;2;3;4;0\n");
    let path = log.display().to_string();
    home.add_tables(&format!(
        "[[source]]\nname = 'meter'\ntail = {path:?}\ntable = {{ time = ['Time'], max_gap_seconds = 5 }}\n"
    ));
    for round in 1..=3 {
        let agent = home.start(&toy);
        append(&log, &format!("5;6;7;8;{round}\n"));
        let report = agent.until(|report| pending(report) == 1 + round).await;
        let source = report.sources.last().unwrap();
        assert_eq!((&source.name[..], source.failed), ("meter", 0));
        // Dropping the agent kills it.
        drop(agent);
    }
    let agent = home.start(&toy);
    append(&log, "no row\n9;9;9;9;4\n");
    let report = agent.until(|report| pending(report) == 5).await;
    assert_eq!(report.sources.last().unwrap().rows.refused, 1);
    agent.stop();
    assert_eq!(home.frames().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_lines_that_are_no_rows_is_encoded_and_put_aside() {
    let root = tempfile::tempdir().unwrap();
    let toy = bundle(root.path(), "toy", Toy::Window);
    let home = Home::new(NO_CLOUD);
    for (name, text) in [
        ("good.csv", "b,a,c,d\n1,2,3,4\n,6,7,8\n"),
        ("torn.csv", "a,b,c,d\n1,2,3,4\n5,6\n9,10,11,12\n"),
        ("swapped.csv", "w,x,y,z\n1,2,3,4\n"),
    ] {
        fs::write(home.path("part"), text).unwrap();
        fs::rename(home.path("part"), home.path("inbox").join(name)).unwrap();
    }
    let agent = home.start(&toy);
    let expected = RowReport { used: 3, missing: 1, refused: 1, ..RowReport::default() };
    let report = agent
        .until(|report| {
            let source = &report.sources[0];
            source.rows == expected && source.failed == 1 && pending(report) == 3
        })
        .await;
    assert!(report.to_text().contains("with a missing number 1, refused 1"), "{}", report.to_text());
    agent.stop();
    assert!(home.path("done/good.csv").exists());
    assert!(home.path("inbox/failed/torn.csv").exists());
    assert!(home.path("inbox/failed/swapped.csv").exists());
    assert_eq!(home.frames().len(), 3);
}
