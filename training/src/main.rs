//! `training`: trains the models, exports them to ONNX, cuts them in two and measures them.

use std::process::ExitCode;

use clap::Parser as _;
use training::{cli::Cli, run};

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("training: {error}");
            ExitCode::FAILURE
        }
    }
}
