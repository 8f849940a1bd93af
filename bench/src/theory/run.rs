//! Measures a row.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use training::{Metrics, cli::Cli, definition::Definition};

use super::{
    TheoryArgs, baseline,
    record::{RowRecord, TrainingRun},
    row::{DataSet, Figure, TheoryRow},
};
use crate::{
    BenchError,
    error::{TheoryError, io_error},
};

/// Number of classes of the labelled data sets.
const CLASSES: u8 = 10;

/// Trains the model of a row, evaluates it and measures its baselines.
pub(super) fn measure_row(row: &TheoryRow, options: &TheoryArgs) -> Result<RowRecord, BenchError> {
    let data = ensure_data(row.data, &options.data)?;
    let blueprint = row.blueprint(Path::new(""))?;
    let runs = match row.figure {
        Figure::OneClass => (0..CLASSES)
            .map(|class| {
                train_model(row, data.as_deref(), options, Some(class), blueprint.definition.clone())
            })
            .collect(),
        _ => train_model(row, data.as_deref(), options, None, blueprint.definition.clone())
            .map(|run| vec![run]),
    }?;
    let baselines = match row.figure {
        Figure::OneClass => baseline::one_class_baselines(data.as_deref())?,
        Figure::Series => baseline::series_baselines(data.as_deref(), &blueprint)?,
        _ => Vec::new(),
    };
    let definition = blueprint.definition;
    Ok(RowRecord { id: row.id.clone(), command: row.command(), definition, runs, baselines })
}

/// Returns the folder of a data set, which is downloaded if it is missing; `None` for the default data set.
fn ensure_data(set: DataSet, folder: &Path) -> Result<Option<PathBuf>, BenchError> {
    let Some(name) = set.download_name() else { return Ok(None) };
    let folder = folder.join(name);
    if !folder.join("provenance.csv").is_file() {
        let out = folder.as_os_str().to_owned();
        run_training(["data".into(), name.into(), "--out".into(), out])?;
    }
    Ok(Some(folder))
}

fn train_model(
    row: &TheoryRow,
    data: Option<&Path>,
    options: &TheoryArgs,
    class: Option<u8>,
    mut definition: Definition,
) -> Result<TrainingRun, BenchError> {
    let name = class.map_or_else(|| row.id.clone(), |class| format!("{}-{class}", row.id));
    let [run, out] = ["run", "bundle"].map(|kind| options.runs.join(&name).join(kind));
    definition.data.normal = class.or(definition.data.normal);
    if let Some(completed) = completed_run(&run, &definition).filter(|_| !options.again) {
        return Ok(completed);
    }
    let mut extra: Vec<OsString> = vec!["--run".into(), run.clone().into(), "--out".into(), out.into()];
    if let Some(data) = data {
        extra.extend(["--data".into(), data.as_os_str().to_owned()]);
    }
    if let Some(class) = class {
        extra.extend(["--normal".into(), OsString::from(class.to_string())]);
    }
    run_training(row.command_words(extra))?;
    let path = run.join("evaluation.json");
    let evaluation = serde_json::from_slice(&fs::read(&path).map_err(io_error(&path))?)?;
    Ok(TrainingRun { epochs: Metrics::read(&run)?.epochs, evaluation })
}

/// Returns a completed run with this definition in a folder, so that a bench that was stopped can continue.
fn completed_run(run: &Path, definition: &Definition) -> Option<TrainingRun> {
    let Metrics { definition: found, epochs } = Metrics::read(run).ok()?;
    let is_complete = found == *definition && epochs.len() == definition.training.epochs;
    let evaluation = fs::read(run.join("evaluation.json")).ok().filter(|_| is_complete)?;
    Some(TrainingRun { epochs, evaluation: serde_json::from_slice(&evaluation).ok()? })
}

/// Runs `training` with command-line arguments.
fn run_training(args: impl IntoIterator<Item = OsString>) -> Result<(), BenchError> {
    let args = std::iter::once(OsString::from("training")).chain(args);
    Ok(training::run(Cli::read(args).map_err(TheoryError::Options)?)?)
}
