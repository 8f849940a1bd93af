//! Bundles over the air: the agent polls its channel, and switches to another bundle without losing a frame.
//!
//! ```text
//! channel ═► offer ─► download ─► folder ─► trial ─► state ─► encoder's thread
//!   asked    parsed    by digest,  one       golden   what       between
//!   now and            resumed,    rename    inputs   counts     two inputs
//!   then               verified
//! ```
//! A task polls the channel; an offer of the current latent space ends there. The files of another bundle are
//! downloaded one after the other into [`folder`](mod@folder), and the bundle is opened and tried on its
//! golden inputs while the agent continues to work. Its encoder is passed to the encoding thread only after
//! [`state`](mod@state) is on the disk.
//!
//! # Invariants
//! - A file gets its final name only after its length and SHA-256 are verified, and a bundle only after all
//!   of its files are present.
//! - A bundle is tried on this machine before it is used, and is rolled back if it fails on real inputs.
//! - Every input is encoded by one bundle or the other; a swap does not drop inputs.
//! - While a bundle is on probation no other one is installed, so that the previous bundle is known to
//!   encode.
//! - Network and disk failures are retried; a faulty bundle is recorded and not downloaded again.

mod book;
mod cloud;
mod disk;
mod download;
mod folder;
mod gives;
mod install;
mod offer;
mod report;
mod settings;
mod start;
mod state;
mod task;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

pub(super) use self::{book::Book, state::Event};
pub(crate) use self::{cloud::Cloud, report::Updates, settings::UpdateTable};
use self::{folder::Folder, gives::Gives, install::Trial, report::Progress, task::Task};
pub use self::{report::UpdateReport, settings::UpdateSettings};
use super::encoders::{Probation, Swap};
use crate::{AnyEncoder, EdgeError, client::Target};

/// Capacity of the queue of encoders to the encoding thread.
const SWAPS: usize = 1;

/// Initial state of the agent's encoder and its updates.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) encoder: AnyEncoder,
    pub(super) probation: Option<Probation>,
    /// `None` without a channel.
    pub(super) updating: Option<Beginning>,
}

/// Updates before their task is started.
#[derive(Debug)]
pub(super) struct Beginning {
    settings: UpdateSettings,
    folder: Folder,
    book: Arc<Book>,
    /// The latent space of the configured bundle, which encodes if none is installed.
    configured: lopside_latent::LatentSpaceId,
    gives: Gives,
    progress: watch::Sender<Progress>,
}

/// The server to poll, and the identity of the device.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) target: Target,
    pub(super) device: String,
    /// Time limit for an answer of the cloud.
    pub(super) patience: Duration,
}

/// Chooses the initial encoder, and prepares updates.
///
/// # Errors
/// [`EdgeError::Io`] if the folder cannot be created.
pub(super) fn begin(settings: Option<UpdateSettings>, configured: AnyEncoder) -> Result<Begun, EdgeError> {
    let Some(settings) = settings else {
        return Ok(Begun { encoder: configured, probation: None, updating: None });
    };
    let folder = Folder::open(&settings.folder)?;
    let book = Arc::new(Book::open(folder.path()));
    let (id, gives) = (configured.latent_space(), Gives::of(&configured));
    let (encoder, probation) = start::choose(&folder, &book, configured, &settings.encode);
    let progress = watch::Sender::default();
    let updating = Beginning { settings, folder, book, configured: id, gives, progress };
    Ok(Begun { encoder, probation, updating: Some(updating) })
}

/// Starts the update task if there is a channel; new encoders arrive over the receiver.
pub(super) fn start(
    updating: Option<Beginning>,
    asking: Asking,
) -> (mpsc::Receiver<Swap>, Option<JoinHandle<()>>) {
    let (swaps, queue) = mpsc::channel(SWAPS);
    (queue, updating.map(|updating| updating.start(asking, swaps)))
}

impl Beginning {
    /// Returns the handle that reports the progress of updates.
    pub(super) fn updates(&self) -> Updates {
        let channel = self.settings.channel.clone();
        Updates { channel, book: Arc::clone(&self.book), progress: self.progress.subscribe() }
    }

    fn start(self, asking: Asking, swaps: mpsc::Sender<Swap>) -> JoinHandle<()> {
        let Self { settings, folder, book, configured, gives, progress } = self;
        let trial = Trial { folder, book, gives, options: settings.encode };
        let task = Task { settings, asking, trial, configured, swaps, progress };
        tokio::spawn(task.run())
    }
}
