//! One file a subcommand.

mod bench;
mod encode;
mod inspect;
mod send;

use std::{fs, path::Path};

use indicatif::{ProgressBar, ProgressStyle};
use lopside_bundle::{Bundle, Part};

use crate::{
    EdgeError,
    cli::{Cli, Command},
    config::FileConfig,
    error::io,
};

/// Does what the command line says.
///
/// # Errors
/// [`EdgeError`] with the cause and, where there is one, the fix.
pub async fn run(cli: Cli) -> Result<(), EdgeError> {
    let file = FileConfig::read(cli.config.as_deref())?;
    match cli.command {
        Command::Encode(args) => encode::run(args, &file),
        Command::Send(args) => send::run(args, &file).await,
        Command::Inspect(args) => inspect::run(args, &file),
        Command::Bench(args) => bench::run(args, &file),
    }
}

fn load(folder: &Path) -> Result<Bundle, EdgeError> {
    Ok(Bundle::load(folder, Part::Encoder)?)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), EdgeError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(io(folder))?;
    fs::write(path, bytes).map_err(io(path))
}

/// A counter on stderr; nothing when stderr is no terminal.
fn progress(what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg}: {pos} ({per_sec})");
    let bar = ProgressBar::new_spinner().with_message(what);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
