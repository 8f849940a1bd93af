//! `cargo xtask fuzz`: runs the fuzz targets, several at a time.
//!
//! Each target keeps what it has found in a folder of the cache, so that every run continues where the last one stopped. Real
//! files of the repository are its first inputs.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
    thread,
};

use crate::{Result, processes, workspace};

/// Limit of a target's memory, in MiB. The targets limit what they allocate themselves.
const MEMORY_MIB: u32 = 1024;

/// The files that a target starts with: the name of the target, bytes that it expects before the content, and a folder or a
/// file of the repository.
const SEEDS: [(&str, &[u8], &str); 14] = [
    ("frame", b"", "bundles/fashion/golden"),
    ("picture", b"", "bundles/photo/golden"),
    ("tables", b"", "bundles/fashion/tables.bin"),
    ("contexts", b"", "bundles/photo/contexts.bin"),
    ("manifest", b"", "bundles/fashion/bundle.json"),
    ("manifest", b"", "bundles/photo/bundle.json"),
    ("onnx", b"", "bundles/fashion/encoder.onnx"),
    ("onnx", b"", "bundles/photo/encoder-fast.onnx"),
    ("image_file", b"\x02", "samples/fashion"),
    ("image_file", b"\x01", "corpus/images"),
    ("image_stream", b"\x00\xff", "samples/fashion"),
    ("image_stream", b"\x00\x07", "corpus/images"),
    ("image_stream", b"\x00\xff", "corpus/streams"),
    ("csv", b"\x00\x07", "corpus/tables"),
];

/// What a target did.
#[derive(Debug, Default)]
struct Outcome {
    /// Number of executions; `None` if the target does not say, because it failed.
    executions: Option<u64>,
    log: PathBuf,
    has_failed: bool,
}

/// Runs these targets, or all of them, for a number of seconds each, and prints a table of their executions.
pub(crate) fn run(names: &[String], seconds: u32, jobs: Option<usize>) -> Result<()> {
    let all_names = target_names()?;
    if let Some(unknown) = names.iter().find(|name| !all_names.contains(name)) {
        return Err(format!("there is no fuzz target {unknown:?}; the targets are {}", all_names.join(", ")));
    }
    let names = if names.is_empty() { &all_names } else { names };
    let binaries = build(names)?;
    let jobs = jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    let outcomes = run_targets(&binaries, names, seconds, jobs)?;
    print_table(names, &outcomes, seconds);
    let failed: Vec<String> = names
        .iter()
        .zip(&outcomes)
        .filter(|(_, outcome)| outcome.has_failed)
        .map(|(name, outcome)| format!("{name} (see {})", outcome.log.display()))
        .collect();
    if failed.is_empty() { Ok(()) } else { Err(format!("fuzz targets failed: {}", failed.join(", "))) }
}

fn folder() -> PathBuf {
    workspace::root().join("fuzz")
}

/// Returns the names of all targets, in alphabetical order.
fn target_names() -> Result<Vec<String>> {
    let sources = folder().join("fuzz_targets");
    let entries = fs::read_dir(&sources).map_err(|error| format!("{}: {error}", sources.display()))?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// Builds all targets, and returns the folder of their binaries. Crates from outside are those of every other release build.
fn build(names: &[String]) -> Result<PathBuf> {
    let mut args =
        vec!["build", "--release", "--locked", "--workspace", "--features", "lopside-fuzz/libfuzzer"];
    args.extend(names.iter().flat_map(|name| ["--bin", name]));
    workspace::cargo(&args, &[("RUSTC_WORKSPACE_WRAPPER", &folder().join("rustc"))])?;
    Ok(workspace::target().join("release"))
}

fn run_targets(binaries: &Path, names: &[String], seconds: u32, jobs: usize) -> Result<Vec<Outcome>> {
    let cache = lopside_python::cache_folder()?.join("fuzz");
    let (next, outcomes) = (Mutex::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some((index, name)) = take_next(&next, names) {
                    let outcome = run_target(&binaries.join(name), &cache, name, seconds);
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).push((index, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by_key(|(index, _)| *index);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn take_next<'a>(next: &Mutex<usize>, names: &'a [String]) -> Option<(usize, &'a String)> {
    let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
    let index = *next;
    *next += 1;
    names.get(index).map(|name| (index, name)).filter(|_| !processes::interrupted())
}

fn run_target(binary: &Path, cache: &Path, name: &str, seconds: u32) -> Result<Outcome> {
    let corpus = cache.join(name);
    write_seeds(&corpus, name)?;
    let log = cache.join(format!("{name}.log"));
    let file = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let output = file.try_clone().map_err(|error| format!("{}: {error}", log.display()))?;
    let mut command = Command::new(binary);
    command.arg(&corpus).args([
        "-seed=1".to_owned(),
        format!("-max_total_time={seconds}"),
        format!("-rss_limit_mb={MEMORY_MIB}"),
        "-print_final_stats=1".to_owned(),
        format!("-artifact_prefix={}/{name}-", cache.display()),
    ]);
    eprintln!("fuzzing {name} for {seconds} s");
    let result = processes::run(command.stdout(output).stderr(file));
    let text = fs::read_to_string(&log).unwrap_or_default();
    if result.is_err() {
        eprintln!("{name} failed:\n{}", last_lines(&text, 40));
    }
    Ok(Outcome { executions: executions(&text), log, has_failed: result.is_err() })
}

/// Copies the seeds of a target into its corpus.
fn write_seeds(corpus: &Path, name: &str) -> Result<()> {
    fs::create_dir_all(corpus).map_err(|error| format!("{}: {error}", corpus.display()))?;
    let seeds = SEEDS.iter().filter(|(target, ..)| *target == name);
    for (prefix, file) in
        seeds.flat_map(|(_, prefix, path)| seed_files(path).into_iter().map(move |file| (prefix, file)))
    {
        let content = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let name = file.file_name().unwrap_or_default();
        fs::write(corpus.join(name), [*prefix, &content].concat())
            .map_err(|error| format!("{}: {error}", corpus.display()))?;
    }
    Ok(())
}

/// Returns the file, or the files of the folder, at a path of the repository.
fn seed_files(path: &str) -> Vec<PathBuf> {
    let path = workspace::root().join(path);
    match fs::read_dir(&path) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect(),
        Err(_) => vec![path],
    }
}

/// Returns the number of executions from libFuzzer's statistics.
fn executions(log: &str) -> Option<u64> {
    let line = log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))?;
    line.trim().parse().ok()
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

fn print_table(names: &[String], outcomes: &[Outcome], seconds: u32) {
    println!("{:<14}  {:>12}  result", "target", "executions");
    for (name, outcome) in names.iter().zip(outcomes) {
        let executions = outcome.executions.map_or_else(|| "-".to_owned(), |count| count.to_string());
        let result = if outcome.has_failed { "FAILED" } else { "ok" };
        println!("{name:<14}  {executions:>12}  {result}");
    }
    let total: u64 = outcomes.iter().filter_map(|outcome| outcome.executions).sum();
    println!("{} targets, {seconds} s each, {total} executions", outcomes.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_belongs_to_a_target_and_exists() {
        let names = target_names().unwrap();
        for (name, _, path) in SEEDS {
            assert!(names.iter().any(|target| target == name), "{name}");
            assert!(workspace::root().join(path).exists(), "{path}");
        }
    }

    #[test]
    fn executions_are_read_from_the_statistics() {
        let log = "#2 INITED\nstat::number_of_executed_units: 123\nstat::average_exec_per_sec: 4\n";
        assert_eq!(executions(log), Some(123));
        assert_eq!(executions("a crash"), None);
        assert_eq!(last_lines("a\nb\nc", 2), "b\nc");
    }
}
