//! Bundles over the air: the agent asks its channel, and takes another bundle without losing a frame.
//!
//! ```text
//! channel ═► offer ─► download ─► folder ─► trial ─► state ─► encoder's thread
//!   asked    parsed    by digest,  one       golden   what       between
//!   now and            resumed,    rename    inputs   counts     two inputs
//!   then               verified
//! ```
//! A task asks; what it says of the latent space that is used already ends there. The files of another one come one after the
//! other into [`folder`](mod@folder), the bundle is opened and tried on its golden inputs beside the agent's work, and only
//! when [`state`](mod@state) has it on the disk does its encoder go to the thread that encodes.
//!
//! # What holds
//! - A file gets its name after its length and SHA-256 are right, a bundle after all of its files are there.
//! - Nothing is used before it was tried on this machine, and nothing stays that fails at real inputs.
//! - An input is encoded by one bundle or the other; none is left out for the swap.
//! - While a bundle is on probation no other one is taken, so that the one before it is known to encode.
//! - What the way or the disk spoils is tried again; what is wrong with the bundle is remembered, and not downloaded again.

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

/// Encoders on their way to the thread that encodes.
const SWAPS: usize = 1;

/// What the agent starts with.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) encoder: AnyEncoder,
    pub(super) probation: Option<Probation>,
    /// Where there is a channel.
    pub(super) updating: Option<Beginning>,
}

/// Updates that are about to begin.
#[derive(Debug)]
pub(super) struct Beginning {
    settings: UpdateSettings,
    folder: Folder,
    book: Arc<Book>,
    /// What encodes where nothing has come over the air.
    configured: lopside_latent::LatentSpaceId,
    gives: Gives,
    progress: watch::Sender<Progress>,
}

/// Whom the task asks, and as whom.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) target: Target,
    pub(super) device: String,
    /// How long the cloud may say nothing.
    pub(super) patience: Duration,
}

/// The encoder to start with, and what is needed to get another one.
///
/// # Errors
/// [`EdgeError::Io`] when the folder cannot be made.
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

/// Asks from now on, where there is a channel; encoders come out of the receiver.
pub(super) fn start(
    updating: Option<Beginning>,
    asking: Asking,
) -> (mpsc::Receiver<Swap>, Option<JoinHandle<()>>) {
    let (swaps, queue) = mpsc::channel(SWAPS);
    (queue, updating.map(|updating| updating.start(asking, swaps)))
}

impl Beginning {
    /// Where it is told how it goes.
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
