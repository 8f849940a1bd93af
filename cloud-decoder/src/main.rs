//! `cloud-decoder`: serves the deep decoder over gRPC and REST.

use std::{error::Error, process::ExitCode};

use clap::Parser as _;
use cloud_decoder::{
    Settings,
    cli::{Cli, Command},
    front, serve,
};
use lopside_telemetry::init;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cloud-decoder: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<(), Box<dyn Error>> {
    let Command::Serve(args) = cli.command;
    let settings = Settings::merge(args)?;
    let _telemetry = init("cloud-decoder", "info", settings.log_format.into())?;
    // Before anyone can know the address: a signal right after it must already drain.
    let (stop, cut_off) = serve::stop_signals()?;
    front::make_room(&settings.front.limits);
    let server = serve::start(&settings).await?;
    println!("{}", server.url());
    server.run(stop, cut_off).await;
    Ok(())
}
