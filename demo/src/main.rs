//! `lopside-demo`: reconstructions of photographs from the cloud, beside JPEG and WebP of the same size.
//!
//! The program is not part of `edge-encoder`, because WebP would add a C library to the edge.

mod comparison;
mod sent;
mod table;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;

use comparison::Comparison;

/// A result whose error is a message for people.
type Result<T> = std::result::Result<T, String>;

// The doc comments of the fields are the help text.
/// Compare photographs that `edge-encoder send` has sent with JPEG and WebP of the same size
#[derive(Debug, Parser)]
struct Cli {
    /// The folder that `edge-encoder send` wrote
    #[arg(long, value_name = "DIR")]
    sent: PathBuf,
    /// The PNG file to write, which shows original, reconstruction, JPEG and WebP side by side
    #[arg(long, value_name = "FILE")]
    sheet: PathBuf,
    /// Print one line of JSON per file instead of the table
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
        comparison.add(&sent::read_sent(&cli.sent, original)?)?;
    }
    comparison.sheet.save_png(&cli.sheet).map_err(|error| error.to_string())?;
    print!(
        "{}",
        if cli.json { table::format_json(&comparison.rows)? } else { table::format_table(&comparison.rows) }
    );
    eprintln!("wrote the comparison sheet {}", cli.sheet.display());
    Ok(())
}
