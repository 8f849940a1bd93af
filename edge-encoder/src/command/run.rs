use tokio::signal::unix::{SignalKind, signal};

use super::load_encoder;
use crate::{EdgeError, agent, settings::RootTable};

/// Runs `edge-encoder run`.
pub(super) async fn run(flags: RootTable, file: RootTable) -> Result<(), EdgeError> {
    // Registered before anything is started, so that a signal at any time causes an orderly end.
    let mut terminate = signal(SignalKind::terminate()).map_err(EdgeError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(EdgeError::Signal)?;
    let (codec_flags, codec_file) = (flags.image_codec, file.image_codec);
    let merged = flags.merge_over(file);
    let encoder = load_encoder(merged.bundle.folder()?, codec_flags, codec_file);
    let encoder = encoder.map_err(|error| match error {
        // The bundle is not the cause.
        EdgeError::Settings(_) => error,
        _ => EdgeError::AgentWithoutBundle(Box::new(error)),
    })?;
    let settings = merged.into_agent_settings()?;
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    agent::run(encoder, settings, stop).await
}
