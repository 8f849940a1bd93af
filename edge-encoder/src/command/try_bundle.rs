use std::time::Duration;

use super::print;
use crate::{
    EdgeError, TrialLimits,
    cli::TryBundleArgs,
    settings::ImageCodecArgs,
    trial::{TrialTask, answer_here},
};

/// Runs `edge-encoder try-bundle`: prints one line of JSON for the agent that has started it.
pub(super) fn run(args: &TryBundleArgs) -> Result<(), EdgeError> {
    let codec = ImageCodecArgs { fast: args.fast, threads: Some(args.threads), ..ImageCodecArgs::default() };
    let limits = TrialLimits { memory_bytes: args.memory_bytes, time: Duration::from_secs(args.seconds) };
    let task = TrialTask { folder: &args.folder, options: codec.encode_options()?, limits };
    print::json(&answer_here(&task)?)
}
