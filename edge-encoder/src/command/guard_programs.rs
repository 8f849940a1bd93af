use std::io;

use lopside_capture::command::run_guard;

/// Runs `edge-encoder guard-programs`: ends the programs of the agent that has started it, if that agent is killed.
pub(super) fn run() {
    run_guard(io::stdin().lock());
}
