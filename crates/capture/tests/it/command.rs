//! Programs as sources, tested with real processes.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Write},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use super::common::Leaping;
use lopside_bundle::TableSpec;
use lopside_capture::{
    CaptureError, CapturedInput, InputCounts, Source, SourceContext, StopHandle,
    command::{CommandOptions, CommandSource, ProgramGuard, RestartPolicy, run_guard},
    rows::WindowOptions,
    stream::{ImageStreamOptions, StreamContent, StreamFormat},
};

fn numbers() -> StreamContent {
    StreamContent::Rows(WindowOptions {
        channels: vec!["x".into()],
        window_rows: 1,
        stride_rows: 1,
        table: TableSpec::default(),
    })
}

fn shell(script: &str, restart: RestartPolicy) -> CommandOptions {
    let options = CommandOptions::new(["sh", "-c", script], numbers());
    CommandOptions { restart, ..options }
}

fn open(options: CommandOptions) -> CommandSource {
    CommandSource::new(SourceContext::new("meter", &StopHandle::new().unwrap()), options).unwrap()
}

fn row(command: &mut CommandSource) -> f32 {
    let CapturedInput::Window(row) = command.next().unwrap().unwrap().input else { panic!() };
    row.values[0]
}

fn pgm(sample: u8) -> Vec<u8> {
    [&b"P5 1 1 255\n"[..], &[sample]].concat()
}

/// Creates a named pipe. A reader reaches its end once all writers have ended.
fn fifo(folder: &Path) -> String {
    let path = folder.join("alive").to_str().unwrap().to_owned();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

#[test]
fn images_are_read_from_a_program() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pictures");
    fs::write(&file, [pgm(7), b"??".to_vec(), pgm(9)].concat()).unwrap();
    let argv = ["cat".into(), file.into_os_string()];
    let options = CommandOptions::new(argv, StreamContent::Images(ImageStreamOptions::default()));
    let mut command = open(CommandOptions { restart: RestartPolicy::Never, ..options });
    for sample in [7, 9] {
        let CapturedInput::Image(image) = command.next().unwrap().unwrap().input else { panic!() };
        assert_eq!(image.decode().unwrap().to_luma8().into_raw(), [sample]);
    }
    assert!(command.next().unwrap().is_none());
    assert_eq!(command.input_counts(), InputCounts { captured: 2, skipped: 2, ..InputCounts::default() });
}

#[test]
fn an_ended_program_is_restarted_with_growing_delays() {
    let waits = Arc::new(Mutex::new(Vec::new()));
    let recorder = waits.clone();
    let clock = Leaping::new(move |wait| recorder.lock().unwrap().push(wait));
    let stop = StopHandle::new().unwrap();
    let context = SourceContext::new("meter", &stop).with_clock(Arc::new(clock));
    // Without a grace time, the only waits are those between runs.
    let options =
        CommandOptions { grace: Duration::ZERO, ..shell("echo 5; exit 3", RestartPolicy::OnFailure) };
    let mut command = CommandSource::new(context, options).unwrap();
    for _ in 0..5 {
        assert!((row(&mut command) - 5.0).abs() < f32::EPSILON);
    }
    assert_eq!((command.start_count(), command.input_counts().captured), (5, 5));
    let waits: Vec<f64> =
        waits.lock().unwrap().iter().map(Duration::as_secs_f64).filter(|wait| *wait > 0.0).collect();
    assert_eq!(waits.len(), 4);
    for (wait, full_delay) in waits.into_iter().zip([1.0, 2.0, 4.0, 8.0]) {
        assert!((full_delay / 2.0..=full_delay).contains(&wait), "{wait} of {full_delay}");
    }
}

#[test]
fn the_restart_policy_decides_about_a_restart() {
    let mut command = open(shell("echo 1", RestartPolicy::OnFailure));
    row(&mut command);
    assert!(command.next().unwrap().is_none(), "the program has not failed");
    let mut command = open(shell("echo 1; exit 3", RestartPolicy::Never));
    row(&mut command);
    let error = command.next().unwrap_err();
    assert!(
        matches!(&error, CaptureError::ProgramFailed { status, .. } if status.code() == Some(3)),
        "{error}"
    );
    assert!(error.to_string().contains("sh has ended with exit status: 3"), "{error}");
    assert!(command.next().unwrap().is_none());
    assert_eq!(command.start_count(), 1);
}

#[test]
fn a_missing_program_is_named() {
    let options = CommandOptions::new(["/no/such/camera"], numbers());
    let error = open(options).next().unwrap_err();
    assert!(matches!(error, CaptureError::StartProgram { .. }), "{error}");
    assert!(error.to_string().contains("/no/such/camera cannot be started"), "{error}");
    assert!(error.to_string().contains("Install it, or give its full path"), "{error}");
    let empty = CommandOptions::new([""; 0], numbers());
    assert!(CommandSource::new(SourceContext::new("meter", &StopHandle::new().unwrap()), empty).is_err());
}

#[test]
fn a_stop_wakes_the_reader_and_lets_the_program_end_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let farewell = folder.path().join("farewell");
    let end = format!("echo bye > {}; kill $!; exit 0", farewell.display());
    let script = format!("trap '{end}' TERM; sleep 1000 & echo 1; wait");
    let stop = StopHandle::new().unwrap();
    let options = CommandOptions { grace: Duration::from_mins(10), ..shell(&script, RestartPolicy::Always) };
    let mut command = CommandSource::new(SourceContext::new("meter", &stop), options).unwrap();
    row(&mut command);
    let reader = thread::spawn(move || command.next().unwrap().is_none());
    stop.stop();
    assert!(reader.join().unwrap());
    assert_eq!(fs::read_to_string(farewell).unwrap(), "bye\n");
}

#[test]
fn a_program_that_ignores_the_signal_is_killed_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = fifo(folder.path());
    let (stop, clock) = (StopHandle::new().unwrap(), Leaping::new(|_| ()));
    let context = SourceContext::new("meter", &stop).with_clock(Arc::new(clock));
    // Parent and child hold the pipe open, and neither ends by itself.
    let script = format!("trap '' TERM; exec 3> {pipe}; sh -c 'while :; do sleep 1000; done' & echo 1; wait");
    let mut command = CommandSource::new(context, shell(&script, RestartPolicy::Always)).unwrap();
    let reader = thread::spawn(move || io::read_to_string(fs::File::open(pipe).unwrap()).unwrap());
    row(&mut command);
    stop.stop();
    assert!(command.next().unwrap().is_none());
    assert_eq!(reader.join().unwrap(), "", "a process still holds the pipe open");
}

#[test]
fn a_silent_program_is_reported_and_started_again() {
    let (stop, clock) = (StopHandle::new().unwrap(), Leaping::new(|_| ()));
    let context = SourceContext::new("meter", &stop).with_clock(Arc::new(clock));
    let silence = Some(Duration::from_secs(90));
    let options = CommandOptions { silence, ..shell("exec sleep 1000", RestartPolicy::Always) };
    let mut command = CommandSource::new(context, options).unwrap();
    for starts in 1..=3 {
        let error = command.next().unwrap_err();
        assert!(matches!(error, CaptureError::Silent { .. }), "{error}");
        assert!(error.to_string().contains("meter has not delivered an input for 90 s"), "{error}");
        assert_eq!(command.start_count(), starts);
    }
}

#[test]
fn bytes_without_an_image_are_silence() {
    let format = StreamFormat::Mjpeg;
    let content = StreamContent::Images(ImageStreamOptions { format, ..ImageStreamOptions::default() });
    let silence = Some(Duration::from_millis(200));
    let options = CommandOptions { silence, ..CommandOptions::new(["yes"], content) };
    let error = open(options).next().unwrap_err();
    assert!(matches!(error, CaptureError::Silent { .. }), "{error}");
}

#[test]
fn a_program_has_ended_although_a_process_that_it_left_behind_holds_its_output() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = fifo(folder.path());
    let (stop, clock) = (StopHandle::new().unwrap(), Leaping::new(|_| ()));
    let context = SourceContext::new("meter", &stop).with_clock(Arc::new(clock));
    let script = format!("exec 3> {pipe}; sleep 1000 & echo 1");
    let mut command = CommandSource::new(context, shell(&script, RestartPolicy::Never)).unwrap();
    let reader = thread::spawn(move || io::read_to_string(fs::File::open(pipe).unwrap()).unwrap());
    row(&mut command);
    assert!(command.next().unwrap().is_none());
    assert_eq!(reader.join().unwrap(), "", "a process still holds the pipe open");
}

/// The process of the guard in the test below.
#[test]
#[ignore = "started by another test"]
fn guard_of_programs() {
    run_guard(io::stdin());
}

/// The process that is killed in the test below.
#[test]
#[ignore = "started by another test"]
fn agent_with_a_program() {
    let pipe = std::env::var("LOPSIDE_TEST_PIPE").unwrap();
    let test = std::env::current_exe().unwrap().into_os_string();
    let guard =
        ProgramGuard::new([test, "command::guard_of_programs".into(), "--exact".into(), "--ignored".into()]);
    // Neither the program nor its child ends by itself.
    let script = format!("trap '' TERM; exec 3> {pipe}; sh -c 'while :; do sleep 1000; done' & echo 1; wait");
    let options = CommandOptions { guard: Some(Arc::new(guard)), ..shell(&script, RestartPolicy::Always) };
    let mut command = open(options);
    row(&mut command);
    println!("the program runs");
    let _ = command.next();
}

#[test]
fn the_programs_of_a_killed_process_are_ended() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = fifo(folder.path());
    let mut agent = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["command::agent_with_a_program", "--exact", "--ignored", "--nocapture"])
        .env("LOPSIDE_TEST_PIPE", &pipe)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let reader = thread::spawn(move || io::read_to_string(fs::File::open(pipe).unwrap()).unwrap());
    let mut lines = BufReader::new(agent.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("the program runs")));
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert_eq!(reader.join().unwrap(), "", "a process still holds the pipe open");
}

#[test]
fn a_program_is_killed_when_its_source_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = fifo(folder.path());
    let script = format!("exec 3> {pipe}; sleep 1000 & echo 1; wait");
    let mut command = open(shell(&script, RestartPolicy::Always));
    let reader = thread::spawn(move || io::read_to_string(fs::File::open(pipe).unwrap()).unwrap());
    row(&mut command);
    drop(command);
    assert_eq!(reader.join().unwrap(), "", "a process still holds the pipe open");
}

#[test]
fn a_program_that_closes_its_output_and_stays_is_terminated() {
    let (stop, clock) = (StopHandle::new().unwrap(), Leaping::new(|_| ()));
    let context = SourceContext::new("meter", &stop).with_clock(Arc::new(clock));
    let script = "echo 1; exec >&-; exec sleep 1000";
    let mut command = CommandSource::new(context, shell(script, RestartPolicy::Never)).unwrap();
    row(&mut command);
    let error = command.next().unwrap_err();
    assert!(
        matches!(&error, CaptureError::ProgramFailed { status, .. } if status.signal().is_some()),
        "{error}"
    );
}

#[test]
fn standard_error_is_logged() {
    struct Lines(mpsc::SyncSender<Vec<u8>>);
    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(bytes.to_vec());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (sender, receiver) = mpsc::sync_channel(100);
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
        .with_ansi(false)
        .with_writer(move || Lines(sender.clone()))
        .init();
    let script = "echo no lens >&2; head -c 5000 /dev/zero >&2; echo >&2; echo 1";
    let context = SourceContext::new("by the door", &StopHandle::new().unwrap());
    let mut command = CommandSource::new(context, shell(script, RestartPolicy::Never)).unwrap();
    row(&mut command);
    let mut expected = ["no lens", "(a line over 1024 bytes)"].into_iter().peekable();
    while let Some(text) = expected.peek() {
        let line = String::from_utf8(receiver.recv().unwrap()).unwrap();
        // The programs of other tests also write log lines.
        if line.contains("by the door") && line.contains(text) {
            assert!(line.contains("DEBUG"), "{line}");
            expected.next();
        }
    }
}

#[test]
fn a_program_has_no_standard_input() {
    let mut command = open(shell("cat; echo 1", RestartPolicy::Never));
    assert!(
        (row(&mut command) - 1.0).abs() < f32::EPSILON,
        "the standard input of the program must be empty"
    );
}

/// The child process of the next test.
#[test]
#[ignore = "started by another test"]
fn rows_of_standard_input() {
    let stop = StopHandle::new().unwrap();
    let mut stream =
        lopside_capture::stream::StreamSource::from_stdin(SourceContext::new("stdin", &stop), numbers())
            .unwrap();
    for _ in 0..2 {
        let CapturedInput::Window(row) = stream.next().unwrap().unwrap().input else { panic!() };
        println!("row {:?}", row.values);
    }
    let reader = thread::spawn(move || stream.next().unwrap().is_none());
    stop.stop();
    println!("stopped {}", reader.join().unwrap());
}

#[test]
fn standard_input_can_be_stopped() {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["command::rows_of_standard_input", "--exact", "--ignored", "--nocapture"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"1\n2\n").unwrap();
    let lines: Vec<String> =
        BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap).collect();
    // The child has ended although its input is still open.
    drop(stdin);
    assert!(child.wait().unwrap().success());
    for expected in ["row [1.0]", "row [2.0]", "stopped true"] {
        assert!(lines.iter().any(|line| line.contains(expected)), "{expected}: {lines:?}");
    }
}
