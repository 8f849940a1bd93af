//! `edge-encoder`: runs the shallow encoder on images and sends compact latents to the cloud.

use std::process::ExitCode;

use clap::Parser as _;
use edge_encoder::{cli::Cli, command};
use lopside_telemetry::{LogFormat, init, printable::error_message};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let _telemetry = match init("edge-encoder", "warn", LogFormat::Text) {
        Ok(guard) => guard,
        Err(error) => {
            print_error(&error);
            return ExitCode::FAILURE;
        }
    };
    match command::run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&error);
            ExitCode::from(error.exit_status())
        }
    }
}

fn print_error(error: &dyn std::error::Error) {
    eprintln!("{}", error_message("edge-encoder", &error));
}
