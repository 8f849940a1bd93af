//! Sources as they are in the field: MJPEG from ffmpeg, a camera's RTSP stream through ffmpeg, a logger's growing file.
//! `cargo xtask inputs` runs each of them for ten minutes, the usual tests for a few seconds. Every input is accounted for:
//!
//! inputs = encoded + refused or dropped by reason + waiting, and the archive has every frame that was encoded.

use std::{
    env, fs,
    io::Write as _,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use edge_encoder::agent::{AgentReport, SourceReport};
use lopside_bundle::{ColumnRef, TableSpec};
use lopside_e2e::in_clone;
use tokio::time::{interval, timeout};

use super::{
    agent::{Agent, Archived, Site, is_settled, source},
    csv::write_bundle,
};

/// The duration of each run, and the program ffmpeg; `cargo xtask` sets both.
const SECONDS: &str = "LOPSIDE_INPUT_SECONDS";
const FFMPEG: &str = "LOPSIDE_FFMPEG";
/// The duration without [`SECONDS`].
const SHORT_SECONDS: u64 = 4;
/// Maximum time until a program listens.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(40);

fn seconds() -> u64 {
    env::var(SECONDS).ok().and_then(|text| text.parse().ok()).unwrap_or(SHORT_SECONDS)
}

/// Returns the program ffmpeg; says so if there is none.
fn ffmpeg(test: &str) -> Option<String> {
    let program = env::var(FFMPEG).ok();
    if program.is_none() {
        eprintln!("{test} is left out: {FFMPEG} does not name the program ffmpeg");
    }
    program
}

/// Returns the command line of ffmpeg that writes MJPEG to its output, and the number of its images to a file.
fn mjpeg_command(ffmpeg: &str, input: &[&str], progress: &Path) -> Vec<String> {
    let progress = progress.display().to_string();
    let front = [ffmpeg, "-nostdin", "-hide_banner", "-loglevel", "error"];
    let back = ["-progress", &progress, "-f", "image2pipe", "-c:v", "mjpeg", "-q:v", "3", "-"];
    [&front[..], input, &back[..]].concat().into_iter().map(str::to_owned).collect()
}

/// Returns the table of a source that runs a command once.
fn table(name: &str, command: &[String], keys: &str) -> String {
    format!("[[source]]\nname = {name:?}\ncommand = {command:?}\nrestart = 'never'\n{keys}\n")
}

/// Returns the number of images that ffmpeg has written.
fn written_images(progress: &Path) -> u64 {
    let text = fs::read_to_string(progress).unwrap();
    assert!(text.trim_end().ends_with("progress=end"), "ffmpeg was interrupted: {text}");
    let frames = text.lines().rev().find_map(|line| line.strip_prefix("frame="));
    frames.unwrap().trim().parse().unwrap()
}

/// Checks that every input of a source is accounted for, and every frame archived.
fn check_inputs(inputs: u64, source: &SourceReport, archived: &[Archived]) {
    let SourceReport { captured, encoded, failed, damaged, too_fast, unchanged, held, waiting, .. } = source;
    assert_eq!(inputs, captured + damaged, "inputs = captured + damaged: {source:?}");
    let accounted = encoded + failed + too_fast + unchanged + held + waiting;
    assert_eq!(*captured, accounted, "captured = encoded + refused + dropped + waiting: {source:?}");
    assert_eq!((failed, damaged), (&0, &0), "{source:?}");
    let found = archived.iter().filter(|archived| archived.source == source.name).count() as u64;
    assert_eq!(*encoded, found, "encoded = archived: {source:?}");
}

#[tokio::test]
async fn every_image_of_ffmpeg_is_accounted_for() {
    let Some(ffmpeg) = ffmpeg("MJPEG from ffmpeg") else { return };
    let (bundle, folder, seconds) = (in_clone("bundles/fashion"), tempfile::tempdir().unwrap(), seconds());
    let duration = seconds.to_string();
    // A source without a cap, one with half of its rate, and one that shows nothing new.
    let sources = [
        ("plain", "testsrc2=size=320x240:rate=10", ""),
        ("capped", "testsrc2=size=320x240:rate=10", "max_rate = 5"),
        ("still", "color=c=gray:size=320x240:rate=10", "scene_threshold = 2.0"),
    ];
    let mut tables = String::new();
    for (name, input, keys) in sources {
        let input = ["-re", "-f", "lavfi", "-i", input, "-t", &duration];
        let command = mjpeg_command(&ffmpeg, &input, &folder.path().join(name));
        tables += &table(name, &command, keys);
    }
    let site = Site::start(&bundle);
    let agent = Agent::start(&site, "gate-7", &bundle, "", &tables);
    let is_done = |report: &AgentReport| sources.iter().all(|(name, ..)| is_settled(source(report, name)));
    let report = agent.until_sent_after(Duration::from_secs(seconds), is_done).await;
    agent.stop();
    let archived = site.archived().await;
    for (name, ..) in sources {
        let inputs = written_images(&folder.path().join(name));
        assert!(inputs >= 9 * seconds, "{name}: {inputs} images");
        check_inputs(inputs, source(&report, name), &archived);
    }
    let [capped, still] = ["capped", "still"].map(|name| source(&report, name));
    // A burst may pass at the start, and the last image waits for its turn.
    assert!(capped.encoded >= 4 * seconds && capped.encoded <= 6 * seconds + 6, "{capped:?}");
    assert!(still.unchanged > still.encoded, "{still:?}");
}

#[tokio::test]
async fn every_image_of_an_rtsp_stream_is_accounted_for() {
    let Some(ffmpeg) = ffmpeg("RTSP through ffmpeg") else { return };
    let (bundle, folder, seconds) = (in_clone("bundles/fashion"), tempfile::tempdir().unwrap(), seconds());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("rtsp://127.0.0.1:{port}/live");
    let progress = folder.path().join("received");
    // The receiver listens, so that no further server is needed.
    let input = ["-rtsp_flags", "listen", "-listen_timeout", "60", "-i", &url];
    let tables = table("rtsp", &mjpeg_command(&ffmpeg, &input, &progress), "");
    let site = Site::start(&bundle);
    let agent = Agent::start(&site, "gate-7", &bundle, "", &tables);
    until_listening(port).await;
    let camera = Camera::start(&ffmpeg, seconds, &url);
    let is_done = |report: &AgentReport| is_settled(source(report, "rtsp"));
    let report = agent.until_sent_after(Duration::from_secs(seconds), is_done).await;
    agent.stop();
    drop(camera);
    let inputs = written_images(&progress);
    assert!(inputs >= 9 * seconds, "{inputs} images");
    check_inputs(inputs, source(&report, "rtsp"), &site.archived().await);
}

/// A camera that sends a stream over RTSP; killed when dropped.
struct Camera(Child);

impl Camera {
    fn start(ffmpeg: &str, seconds: u64, url: &str) -> Self {
        let mut command = Command::new(ffmpeg);
        command.args(["-nostdin", "-hide_banner", "-loglevel", "error", "-re", "-f", "lavfi"]);
        command.args(["-i", "testsrc2=size=320x240:rate=10", "-t", &seconds.to_string()]);
        command.args(["-c:v", "mpeg4", "-f", "rtsp", "-rtsp_transport", "tcp", url]);
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until a program listens on a port, without a connection to it: the program accepts only one.
async fn until_listening(port: u16) {
    // State 0A is LISTEN.
    let address = format!("0100007F:{port:04X} 00000000:0000 0A");
    let polling = timeout(LISTEN_TIMEOUT, async {
        let mut ticks = interval(Duration::from_millis(20));
        while !fs::read_to_string("/proc/net/tcp").unwrap().contains(&address) {
            ticks.tick().await;
        }
    });
    polling.await.expect("ffmpeg listens");
}

#[tokio::test]
async fn every_row_of_a_growing_file_is_accounted_for() {
    let table = TableSpec {
        time: Some(vec![ColumnRef::Name("time".into())]),
        max_gap_seconds: Some(1.5),
        ..TableSpec::default()
    };
    let (folder, bundle) = write_bundle(&table);
    let log = folder.path().join("meter.csv");
    let site = Site::start(&bundle);
    let agent =
        Agent::start(&site, "gate-7", &bundle, "", &format!("[[source]]\nname = 'meter'\ntail = {log:?}\n"));
    let written = write_log(&log, 100 * seconds()).await;
    let report = agent.until_sent(|report| total_rows(source(report, "meter")) == written.rows).await;
    agent.stop();
    let meter = source(&report, "meter");
    let found = [meter.rows.missing, meter.rows.refused, meter.rows.gaps];
    assert_eq!(found, [written.missing, written.refused, written.gaps], "{meter:?}");
    assert!(meter.rows.waiting < 4 && meter.rows.used > written.rows / 2, "{meter:?}");
    check_inputs(meter.captured, &SourceReport { damaged: 0, ..meter.clone() }, &site.archived().await);
}

fn total_rows(source: &SourceReport) -> u64 {
    let rows = source.rows;
    rows.used + rows.waiting + rows.unused + rows.missing + rows.refused
}

/// The lines that a logger has written, without the header.
#[derive(Default)]
struct WrittenLog {
    rows: u64,
    missing: u64,
    refused: u64,
    gaps: u64,
}

/// Writes rows as a logger does: one after the other, some of them in two parts, some without a number, and with gaps.
async fn write_log(path: &Path, rows: u64) -> WrittenLog {
    let mut file = fs::File::create(path).unwrap();
    file.write_all(b"time,x,y\n").unwrap();
    let (mut written, mut time) = (WrittenLog::default(), 0_u64);
    let mut ticks = interval(Duration::from_millis(10));
    for number in 0..rows {
        ticks.tick().await;
        let is_refused = number % 97 == 40;
        let is_missing = !is_refused && number % 53 == 17;
        let is_gap = !is_refused && number % 71 == 70;
        // A line that is no row must not look like a gap as well.
        time += if is_gap { 100 } else { u64::from(!is_refused) };
        let line = if is_refused {
            "the sensor does not answer\n".to_owned()
        } else if is_missing {
            format!("{time},{number},NaN\n")
        } else {
            format!("{time},{number},{}\n", number % 13)
        };
        let (first, rest) = line.split_at(if number % 10 == 3 { line.len() / 2 } else { line.len() });
        file.write_all(first.as_bytes()).unwrap();
        if !rest.is_empty() {
            ticks.tick().await;
            file.write_all(rest.as_bytes()).unwrap();
        }
        written.rows += 1;
        written.missing += u64::from(is_missing);
        written.refused += u64::from(is_refused);
        written.gaps += u64::from(is_gap);
    }
    written
}
