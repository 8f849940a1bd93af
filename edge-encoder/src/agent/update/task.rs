use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use lopside_bundle::AnyManifest;
use lopside_latent::LatentSpaceId;
use lopside_proto::v1::GetChannelRequest;
use rand::RngExt as _;
use tokio::{
    sync::{mpsc, watch},
    task::spawn_blocking,
    time::sleep,
};

use super::{
    Asking, UpdateSettings,
    cloud::Cloud,
    download::{blocking, fetch},
    install::{Trial, is_damage, is_final},
    offer::{self, Offer},
    report::Progress,
    state::{Event, Release},
};
use crate::{AnyEncoder, EdgeError, agent::encoders::Swap, error::io};

/// The pause after a first failure; it doubles up to the usual interval.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// Random factor on pauses, so that devices do not poll at the same time.
const JITTER: std::ops::Range<f64> = 0.8..1.2;

/// The task that polls the channel and installs the bundles that it offers.
pub(super) struct Task {
    pub(super) settings: UpdateSettings,
    pub(super) asking: Asking,
    pub(super) trial: Trial,
    pub(super) configured: LatentSpaceId,
    pub(super) swaps: mpsc::Sender<Swap>,
    pub(super) progress: watch::Sender<Progress>,
}

impl Task {
    /// Runs until it is aborted.
    pub(super) async fn run(self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let checked = self.check().await;
            let every = self.settings.every;
            let wait = if checked.is_ok() { every } else { pause.min(every) };
            pause = if checked.is_ok() { FIRST_PAUSE } else { (2 * wait).max(FIRST_PAUSE) };
            self.tell(checked.err());
            let jitter = rand::rng().random_range(JITTER);
            sleep(wait.mul_f64(jitter)).await;
        }
    }

    /// Records an error, and logs it once per reason.
    fn tell(&self, error: Option<EdgeError>) {
        let error = error.map(|error| error.to_string());
        self.progress.send_modify(|progress| {
            if let Some(error) = error.as_ref().filter(|error| progress.last_error.as_ref() != Some(error)) {
                tracing::warn!(channel = self.settings.channel, error, "cannot update the bundle");
            }
            progress.last_error = error;
        });
    }

    /// Polls the channel once.
    async fn check(&self) -> Result<(), EdgeError> {
        let mut cloud = Cloud::connect(&self.asking.target).await?;
        let book = &self.trial.book;
        let running = book.state().latent_space().unwrap_or(self.configured);
        let request = GetChannelRequest {
            channel: self.settings.channel.clone(),
            device: self.asking.device.clone(),
            latent_space: running.as_bytes().to_vec(),
        };
        let answer = cloud.channel(request, self.asking.patience).await?;
        let offered = offer::latent_space(&answer)?;
        self.progress.send_modify(|progress| {
            (progress.checked, progress.offered) = (Some(Instant::now()), Some(offered.to_string()));
        });
        if offered == running {
            book.commit(Event::UpToDate)?;
            return self.tidy(None);
        }
        let offer = Offer::parse(answer)?;
        let state = book.commit(Event::Offered(offer.release.clone()))?;
        if state.refusal(&offer.release).is_some() {
            return self.tidy(None);
        }
        if state.probation.is_some() {
            return Ok(());
        }
        self.take(&mut cloud, offer).await
    }

    /// Installs an offered bundle, or records why it is refused.
    async fn take(&self, cloud: &mut Cloud, offer: Offer) -> Result<(), EdgeError> {
        let release = offer.release.clone();
        let encoder = match self.tried(cloud, offer.clone()).await {
            Ok(encoder) => encoder,
            Err(error) => {
                if is_damage(&error) {
                    self.trial.folder.discard(&offer)?;
                }
                if is_final(&error) {
                    self.trial.book.commit(Event::Refused(release, error.to_string()))?;
                    self.tidy(None)?;
                }
                return Err(error);
            }
        };
        // If the agent ends, the receiver is gone, and the bundle is used at the next start.
        let _ = self.swaps.send(Swap { encoder, book: Arc::clone(&self.trial.book) }).await;
        self.tidy(None)
    }

    /// Downloads and tries an offered bundle, and returns its encoder once it is the current one.
    async fn tried(&self, cloud: &mut Cloud, offer: Offer) -> Result<AnyEncoder, EdgeError> {
        let release = offer.release.clone();
        if !self.trial.folder.has(&release) {
            self.download(cloud, offer).await?;
        }
        let (trial, tried) = (self.trial.clone(), release.clone());
        spawn_blocking(move || trial.run(&tried)).await.unwrap_or_else(|panic| {
            let error = EdgeError::Model(format!("its trial was not completed: {panic}"));
            self.trial.book.note(Event::Refused(release, error.to_string()));
            Err(error)
        })
    }

    async fn download(&self, cloud: &mut Cloud, offer: Offer) -> Result<(), EdgeError> {
        let (folder, patience) = (&self.trial.folder, self.asking.patience);
        let manifest = folder.download(&offer.files[0]);
        folder.check_room(&offer)?;
        fetch(cloud, folder, &offer.files[0], patience).await?;
        let text = fs::read(&manifest).map_err(io(&manifest))?;
        let offer = offer.named_by(&AnyManifest::parse(text)?)?;
        self.tidy(Some(&offer))?;
        for file in &offer.files[1..] {
            fetch(cloud, folder, file, patience).await?;
        }
        let folder = folder.clone();
        blocking(move || folder.assemble(&offer)).await
    }

    /// Removes unreferenced bundles and downloads.
    fn tidy(&self, offer: Option<&Offer>) -> Result<(), EdgeError> {
        let state = self.trial.book.state();
        let keep: Vec<&Release> = [&state.current, &state.previous].into_iter().flatten().collect();
        self.trial.folder.sweep(&keep, offer)
    }
}
