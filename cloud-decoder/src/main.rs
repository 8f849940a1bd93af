//! `cloud-decoder`: serves the deep decoder over gRPC and REST.

use std::{error::Error, process::ExitCode};

use clap::Parser as _;
use cloud_decoder::{
    Settings,
    cli::{Cli, Command},
    serve,
};
use lopside_telemetry::init;
use mimalloc::MiMalloc;

/// A request's memory is taken by one thread and given back by another, which the C library's allocator pays for.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

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
    let stop = serve::stop_signal()?;
    let server = serve::start(&settings).await?;
    println!("http://{}", server.address());
    server.run_until(stop).await?;
    Ok(())
}
