use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use lopside_bundle::AnyManifest;
use lopside_encoder::AnyEncoder;
use lopside_latent::LatentSpaceId;
use lopside_proto::v1::GetChannelRequest;
use rand::RngExt as _;
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

use super::{
    PollTarget,
    bundle_client::BundleClient,
    download::{fetch_file, run_blocking},
    install::{BundleTrial, concerns_bundle, is_disk_damage},
    offer::{self, Offer},
    report::PollProgress,
    state::{Release, UpdateEvent},
};
use crate::{
    EdgeError,
    agent::{encoders::EncoderSwap, settings::UpdateSettings},
    error::io_error,
};

/// The pause after a first failure; it doubles up to the usual interval.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// Random factor on pauses, so that devices do not poll at the same time.
const PAUSE_JITTER: std::ops::Range<f64> = 0.8..1.2;

/// The task that polls the channel and installs the bundles that it offers.
pub(super) struct UpdateTask {
    pub(super) settings: UpdateSettings,
    pub(super) poll_target: PollTarget,
    pub(super) trial: BundleTrial,
    pub(super) configured_space: LatentSpaceId,
    pub(super) swaps: mpsc::Sender<EncoderSwap>,
    pub(super) progress: watch::Sender<PollProgress>,
}

impl UpdateTask {
    /// Runs until it is aborted.
    pub(super) async fn run(self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let result = self.poll_channel().await;
            let interval = self.settings.poll_interval;
            let delay = if result.is_ok() { interval } else { pause.min(interval) };
            pause = if result.is_ok() { FIRST_PAUSE } else { (2 * delay).max(FIRST_PAUSE) };
            self.report_error(result.err());
            let jitter = rand::rng().random_range(PAUSE_JITTER);
            sleep(delay.mul_f64(jitter)).await;
        }
    }

    /// Records an error, and logs it once per reason.
    fn report_error(&self, error: Option<EdgeError>) {
        let error = error.map(|error| error.to_string());
        self.progress.send_modify(|progress| {
            if let Some(error) = error.as_ref().filter(|error| progress.last_error.as_ref() != Some(error)) {
                tracing::warn!(channel = self.settings.channel, error, "cannot update the bundle");
            }
            progress.last_error = error;
        });
    }

    /// Polls the channel once.
    async fn poll_channel(&self) -> Result<(), EdgeError> {
        let mut cloud = BundleClient::connect(&self.poll_target.target).await?;
        let states = &self.trial.states;
        let current = states.state().current_space().unwrap_or(self.configured_space);
        let request = GetChannelRequest {
            channel: self.settings.channel.clone(),
            device: self.poll_target.device.clone(),
            latent_space: current.as_bytes().to_vec(),
        };
        let response = cloud.get_channel(request, self.poll_target.response_timeout).await?;
        let offered = offer::offered_space(&response)?;
        self.progress.send_modify(|progress| {
            (progress.responded_at, progress.offered) = (Some(Instant::now()), Some(offered.to_string()));
        });
        if offered == current {
            states.commit(UpdateEvent::UpToDate)?;
            return self.remove_unused(None);
        }
        let offer = Offer::parse(response)?;
        let state = states.commit(UpdateEvent::Offered(offer.release.clone()))?;
        if state.refusal(&offer.release).is_some() {
            return self.remove_unused(None);
        }
        if state.probation.is_some() {
            return Ok(());
        }
        self.install_offer(&mut cloud, offer).await
    }

    /// Installs an offered bundle, or records why it is refused.
    async fn install_offer(&self, cloud: &mut BundleClient, offer: Offer) -> Result<(), EdgeError> {
        let release = offer.release.clone();
        let encoder = match self.try_offer(cloud, offer.clone()).await {
            Ok(encoder) => encoder,
            Err(error) => {
                if is_disk_damage(&error) {
                    self.trial.folder.discard(&offer)?;
                }
                if concerns_bundle(&error) {
                    self.trial.states.commit(UpdateEvent::Refused(release, error.to_string()))?;
                    self.remove_unused(None)?;
                }
                return Err(error);
            }
        };
        // If the agent ends, the receiver is gone, and the bundle is used at the next start.
        let _ = self.swaps.send(EncoderSwap { encoder, states: Arc::clone(&self.trial.states) }).await;
        self.remove_unused(None)
    }

    /// Downloads and tries an offered bundle, and returns its encoder once it is the current one.
    async fn try_offer(&self, cloud: &mut BundleClient, offer: Offer) -> Result<AnyEncoder, EdgeError> {
        let release = offer.release.clone();
        if !self.trial.folder.has(&release) {
            self.download(cloud, offer).await?;
        }
        self.trial.run(&release).await
    }

    async fn download(&self, cloud: &mut BundleClient, offer: Offer) -> Result<(), EdgeError> {
        let (folder, time_limit) = (&self.trial.folder, self.poll_target.response_timeout);
        let manifest = folder.download_path(&offer.files[0]);
        folder.check_free_space(&offer)?;
        fetch_file(cloud, folder, &offer.files[0], time_limit).await?;
        let text = fs::read(&manifest).map_err(io_error(&manifest))?;
        let offer = offer.restrict_to_manifest(&AnyManifest::parse(text)?)?;
        self.remove_unused(Some(&offer))?;
        for file in &offer.files[1..] {
            fetch_file(cloud, folder, file, time_limit).await?;
        }
        let folder = folder.clone();
        run_blocking(move || folder.assemble(&offer)).await
    }

    /// Removes unreferenced bundles and downloads.
    fn remove_unused(&self, offer: Option<&Offer>) -> Result<(), EdgeError> {
        let state = self.trial.states.state();
        let kept: Vec<&Release> = [&state.current, &state.previous].into_iter().flatten().collect();
        self.trial.folder.sweep(&kept, offer)
    }
}
