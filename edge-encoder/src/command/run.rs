use tokio::signal::unix::{SignalKind, signal};

use super::load_encoder;
use crate::{EdgeError, agent, cli::RunArgs, config::ConfigFile};

/// Runs `edge-encoder run`.
pub(super) async fn run(args: RunArgs, file: &ConfigFile) -> Result<(), EdgeError> {
    // Registered before anything is started, so that a signal at any time causes an orderly end.
    let mut terminate = signal(SignalKind::terminate()).map_err(EdgeError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(EdgeError::Signal)?;
    let encoder = load_encoder(&file.bundle(args.bundle.bundle.clone())?, args.picture, file)?;
    let settings = file.agent_settings(args)?;
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    agent::run(encoder, settings, stop).await
}
