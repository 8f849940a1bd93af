use crate::{EdgeError, cli::DoctorArgs, config::ConfigFile, doctor};

/// Runs `edge-encoder doctor`.
pub(super) async fn run(args: DoctorArgs, file: &ConfigFile) -> Result<(), EdgeError> {
    let bundle = file.bundle(args.run.bundle.bundle.clone())?;
    let diagnosis = doctor::examine(&bundle, &file.agent_settings(args.run)?).await;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&diagnosis)?);
    } else {
        print!("{diagnosis}");
    }
    diagnosis.check_verdicts()
}
