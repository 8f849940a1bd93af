//! `cloud-decoder`: serves the deep decoder over gRPC and REST.

use std::{error::Error, process::ExitCode};

use clap::Parser as _;
use cloud_decoder::{
    ServeArgs, Settings, auth,
    check::check_settings,
    cli::{CheckArgs, Cli, Command, KeyArgs},
    health, serve, transport,
};
use lopside_telemetry::init;
use mimalloc::MiMalloc;

/// mimalloc, because the memory of a request is allocated on one thread and freed on another, which is slow
/// with the C library's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => run_server(args).await.map(|()| ExitCode::SUCCESS),
        Command::Check(args) => print_report(args),
        Command::Key(args) => make_key(&args).map(|()| ExitCode::SUCCESS),
        Command::Health { url } => {
            health::check_server(&url).await.map(|()| ExitCode::SUCCESS).map_err(Into::into)
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("cloud-decoder: {error}");
        ExitCode::FAILURE
    })
}

async fn run_server(args: ServeArgs) -> Result<(), Box<dyn Error>> {
    let settings = Settings::merge(args)?;
    let _telemetry = init("cloud-decoder", "info", settings.log_format.into())?;
    // Caught before anything is loaded, and before the address is printed: a signal that follows immediately must
    // already start the drain.
    let (stop, cut_off) = serve::catch_signals()?;
    transport::raise_file_limit(&settings.front.limits);
    let server = serve::start_server(&settings).await?;
    println!("{}", server.url());
    server.run(stop, cut_off).await;
    Ok(())
}

fn print_report(CheckArgs { serve, json }: CheckArgs) -> Result<ExitCode, Box<dyn Error>> {
    let settings = Settings::merge(serve)?;
    let _telemetry = init("cloud-decoder", "warn", settings.log_format.into())?;
    let report = check_settings(&settings);
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn make_key(KeyArgs { name, allow, json }: &KeyArgs) -> Result<(), Box<dyn Error>> {
    let key = auth::generate_key(name, allow)?;
    if *json {
        println!("{}", serde_json::to_string_pretty(&key)?);
    } else {
        println!("{}\n", key.key);
        println!("{}", key.toml.trim_end());
        eprintln!(
            "the first line is the key, which is shown only once; add the other lines to the file of --api-keys"
        );
    }
    Ok(())
}
