//! `lopside-demo`: photographs that came back from the cloud, beside JPEG and WebP of the same bytes.
//!
//! It is no part of `edge-encoder`, because WebP would bring a C library to the edge.

mod comparison;
mod sent;
mod table;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;

use comparison::Comparison;

/// What went wrong, for people.
type Result<T> = std::result::Result<T, String>;

// The doc comments of the fields are the help text.
/// Compares photographs that `edge-encoder send` has sent with JPEG and WebP of the same bytes.
#[derive(Debug, Parser)]
struct Cli {
    /// The folder that `edge-encoder send` wrote
    #[arg(long, value_name = "DIR")]
    sent: PathBuf,
    /// Where the PNG goes that shows original, reconstruction, JPEG and WebP side by side
    #[arg(long, value_name = "FILE")]
    sheet: PathBuf,
    /// Print a line of JSON a file instead of the table
    #[arg(long)]
    json: bool,
    /// The photographs as they were sent
    #[arg(required = true, value_name = "PICTURE")]
    originals: Vec<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lopside-demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let mut comparison = Comparison::new()?;
    for original in &cli.originals {
        comparison.add(&sent::read(&cli.sent, original)?)?;
    }
    comparison.sheet.save_png(&cli.sheet).map_err(|error| error.to_string())?;
    print!("{}", if cli.json { table::json(&comparison.rows)? } else { table::text(&comparison.rows) });
    eprintln!("side by side: {}", cli.sheet.display());
    Ok(())
}
