use tokio::signal::unix::{SignalKind, signal};

use super::load;
use crate::{EdgeError, agent, cli::RunArgs, config::FileConfig};

/// `edge-encoder run`.
pub(super) async fn run(args: RunArgs, file: &FileConfig) -> Result<(), EdgeError> {
    // Before anything is begun: a signal at any time must end it in order.
    let mut terminate = signal(SignalKind::terminate()).map_err(EdgeError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(EdgeError::Signal)?;
    let encoder = load(&file.bundle(args.bundle.bundle.clone())?, args.picture, file)?;
    let settings = file.agent(args)?;
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    agent::run(encoder, settings, stop).await
}
