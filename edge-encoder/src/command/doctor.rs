use super::print;
use crate::{EdgeError, cli::DoctorArgs, doctor, settings::RootTable};

/// Runs `edge-encoder doctor`.
pub(super) async fn run(args: DoctorArgs, file: RootTable) -> Result<(), EdgeError> {
    let merged = args.run.merge_over(file);
    let bundle = merged.bundle.folder()?.to_owned();
    let diagnosis = doctor::examine(&bundle, &merged.into_agent_settings()?).await;
    if args.json {
        print::pretty_json(&diagnosis)?;
    } else {
        print::lines(&diagnosis.to_string())?;
    }
    diagnosis.check_verdicts()
}
