//! Bundles over the air: the agent polls its channel, and switches to another bundle without losing a frame.
//!
//! ```text
//! channel ═► offer ─► download ─► folder ─► trial ─► state ─► encoder's thread
//!   polled   parsed    by digest,  one       golden   durable    between
//!                      resumed,    rename    inputs              two inputs
//!                      verified
//! ```
//! A task polls the channel; an offer of the current latent space ends there. The files of another bundle are
//! downloaded one after the other into [`folder`](mod@folder). The bundle is opened and tried on its golden inputs
//! in [another process](crate::trial), under limits, while the agent continues to work. Its encoder is passed to the
//! encoding thread only after [`state`](mod@state) is on the disk.
//!
//! # Invariants
//! - A file gets its final name only after its length and SHA-256 are verified, and a bundle only after all
//!   of its files are present.
//! - The agent opens a bundle only after it was tried on this machine; it is rolled back if it fails on real inputs.
//! - Every input is encoded by one bundle or the other; a swap does not drop inputs.
//! - While a bundle is on probation no other one is installed, so that the previous bundle is known to
//!   encode.
//! - Network and disk failures are retried; a faulty bundle is recorded and not downloaded again.

mod bundle_client;
mod disk;
mod download;
mod folder;
mod input_kind;
mod install;
mod offer;
mod report;
mod start;
mod state;
mod state_store;
mod task;

use std::{sync::Arc, time::Duration};

use crate::connection::CloudTarget;
use lopside_encoder::AnyEncoder;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

pub use self::report::UpdateReport;
pub(crate) use self::{bundle_client::BundleClient, report::UpdateStatus};
use self::{
    folder::BundleFolder, input_kind::InputKind, install::BundleTrial, report::PollProgress, task::UpdateTask,
};
pub(super) use self::{state::UpdateEvent, state_store::StateStore};
use super::{
    encoders::{EncoderSwap, PreviousEncoder},
    settings::UpdateSettings,
};
use crate::EdgeError;

/// Capacity of the queue of encoders to the encoding thread.
const SWAP_QUEUE: usize = 1;

/// Initial state of the agent's encoder and its updates.
#[derive(Debug)]
pub(super) struct InitialEncoder {
    pub(super) encoder: AnyEncoder,
    pub(super) probation: Option<PreviousEncoder>,
    /// `None` without a channel.
    pub(super) updates: Option<PendingUpdates>,
}

/// Updates before their task is started.
#[derive(Debug)]
pub(super) struct PendingUpdates {
    settings: UpdateSettings,
    folder: BundleFolder,
    states: Arc<StateStore>,
    /// The latent space of the configured bundle, which encodes if none is installed.
    configured_space: lopside_latent::LatentSpaceId,
    input_kind: InputKind,
    progress: watch::Sender<PollProgress>,
}

/// The server to poll, and the identity of the device.
#[derive(Debug)]
pub(super) struct PollTarget {
    pub(super) target: CloudTarget,
    pub(super) device: String,
    /// Time limit for a response of the cloud.
    pub(super) response_timeout: Duration,
}

/// Chooses the initial encoder, and prepares updates.
///
/// # Errors
/// [`EdgeError::Io`] if the folder cannot be created, and [`UpdateError`](crate::UpdateError) if another
/// agent uses it.
pub(super) fn begin(
    settings: Option<UpdateSettings>,
    configured: AnyEncoder,
) -> Result<InitialEncoder, EdgeError> {
    let Some(settings) = settings else {
        return Ok(InitialEncoder { encoder: configured, probation: None, updates: None });
    };
    let folder = BundleFolder::open(&settings.folder)?;
    let states = Arc::new(StateStore::open(folder.path()));
    let (configured_space, input_kind) = (configured.latent_space(), InputKind::from_encoder(&configured));
    let (encoder, probation) = start::choose_encoder(&folder, &states, configured, &settings.encode);
    let progress = watch::Sender::default();
    let updates = PendingUpdates { settings, folder, states, configured_space, input_kind, progress };
    Ok(InitialEncoder { encoder, probation, updates: Some(updates) })
}

/// Starts the update task if there is a channel; new encoders arrive over the receiver.
pub(super) fn start(
    updates: Option<PendingUpdates>,
    poll_target: PollTarget,
) -> (mpsc::Receiver<EncoderSwap>, Option<JoinHandle<()>>) {
    let (swaps, queue) = mpsc::channel(SWAP_QUEUE);
    (queue, updates.map(|updates| updates.start(poll_target, swaps)))
}

impl PendingUpdates {
    /// Returns the handle that reports the progress of updates.
    pub(super) fn updates(&self) -> UpdateStatus {
        let channel = self.settings.channel.clone();
        UpdateStatus { channel, states: Arc::clone(&self.states), progress: self.progress.subscribe() }
    }

    fn start(self, poll_target: PollTarget, swaps: mpsc::Sender<EncoderSwap>) -> JoinHandle<()> {
        let Self { settings, folder, states, configured_space, input_kind, progress } = self;
        let (options, limits) = (settings.encode, settings.trial);
        let trial = BundleTrial { folder, states, input_kind, options, limits };
        let task = UpdateTask { settings, poll_target, trial, configured_space, swaps, progress };
        tokio::spawn(task.run())
    }
}
