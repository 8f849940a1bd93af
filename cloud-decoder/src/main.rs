//! `cloud-decoder`: serves the deep decoder over gRPC and REST.

use std::{error::Error, process::ExitCode};

use clap::Parser as _;
use cloud_decoder::{
    ServeArgs, Settings, audit, auth,
    check::check_settings,
    cli::{AuditCommand, CheckArgs, Cli, Command, HealthArgs, KeyArgs, VerifyArgs},
    health, serve, transport,
};
use lopside_telemetry::{
    init,
    printable::{error_message, escape_json, escape_lines},
};
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
        Command::Health(HealthArgs { url, service }) => {
            health::check_server(&url, &service).await.map(|()| ExitCode::SUCCESS).map_err(Into::into)
        }
        Command::Audit(AuditCommand::Verify(args)) => verify_audit(&args).await,
    };
    result.unwrap_or_else(|error| {
        eprintln!("{}", error_message("cloud-decoder", &error));
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
        println!("{}", escape_json(&serde_json::to_string_pretty(&report)?));
    } else {
        println!("{}", escape_lines(&report.to_string()));
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn verify_audit(VerifyArgs { archive, json }: &VerifyArgs) -> Result<ExitCode, Box<dyn Error>> {
    let check = audit::verify_log(archive).await?;
    if *json {
        println!("{}", escape_json(&serde_json::to_string_pretty(&check)?));
    } else {
        println!("{}", escape_lines(&check.to_string()));
    }
    Ok(if check.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn make_key(KeyArgs { name, allow, devices, json }: &KeyArgs) -> Result<(), Box<dyn Error>> {
    let key = auth::generate_device_key(name, allow, devices)?;
    if *json {
        println!("{}", escape_json(&serde_json::to_string_pretty(&key)?));
    } else {
        println!("{}\n", key.key);
        println!("{}", escape_lines(key.toml.trim_end()));
        eprintln!(
            "the first line is the key, which is shown only once; add the other lines to the file of --api-keys"
        );
    }
    Ok(())
}
