use std::{env, sync::Arc};

use lopside_capture::command::ProgramGuard;

/// The hidden command that runs the process of a guard.
const COMMAND: &str = "guard-programs";

/// Returns a guard that ends a program if the agent is killed; `None` if the agent's own program is unknown.
pub(super) fn program_guard() -> Option<Arc<ProgramGuard>> {
    let program = env::current_exe()
        .inspect_err(|error| {
            tracing::warn!(%error, "the agent's own program is unknown; if the agent is killed, its programs may stay");
        })
        .ok()?;
    Some(Arc::new(ProgramGuard::new([program.into_os_string(), COMMAND.into()])))
}
