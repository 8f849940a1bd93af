//! `training`: trains the models, exports them to ONNX, cuts them in two and measures them.

use std::process::ExitCode;

use training::{cli::Cli, run};

fn main() -> ExitCode {
    let cli = Cli::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("training: {error}");
            ExitCode::FAILURE
        }
    }
}
