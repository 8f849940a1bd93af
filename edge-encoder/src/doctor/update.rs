use std::{fs, path::Path, time::Duration};

use crate::connection::CloudTarget;
use lopside_bundle::AnyManifest;
use lopside_proto::v1::GetChannelRequest;
use lopside_spool::disk_fix;

use super::{Finding, probe::ProbeFile};
use crate::{
    EdgeError,
    agent::{AgentSettings, BundleClient, UpdateSettings},
    error::io_error,
};

/// Time limit for the cloud's response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Checks whether bundles can be installed over the air: a writable folder, and a channel that answers.
pub(super) async fn examine(bundle: &Path, settings: &AgentSettings) -> Vec<Finding> {
    let Some(update) = &settings.update else { return Vec::new() };
    let channel = match describe_offer(bundle, settings, update).await {
        Ok(found) => Finding::good("channel", found),
        Err(error) => Finding::poor(
            "channel",
            format!("{}: {error}", update.channel),
            "check that the cloud-decoder has this channel, and that the API key has its scope; until then the bundle does not change",
        ),
    };
    vec![examine_folder(&update.folder), channel]
}

fn examine_folder(path: &Path) -> Finding {
    let written = fs::create_dir_all(path).and_then(|()| ProbeFile::create(path)).and_then(ProbeFile::remove);
    match written {
        Ok(()) => Finding::good("bundles", path.display()),
        Err(error) => {
            let fix = "configure another folder in [update], or allow this user to write to it";
            let fix = disk_fix(error.kind()).unwrap_or(fix);
            Finding::bad("bundles", io_error(path)(error), fix)
        }
    }
}

/// Requests the channel's offer, and describes it.
async fn describe_offer(
    bundle: &Path,
    settings: &AgentSettings,
    update: &UpdateSettings,
) -> Result<String, EdgeError> {
    let target = CloudTarget::new(&settings.endpoint, &settings.security)?;
    let latent_space = AnyManifest::read(bundle)?.latent_space();
    let request = GetChannelRequest {
        channel: update.channel.clone(),
        device: settings.device.clone(),
        latent_space: latent_space.as_bytes().to_vec(),
    };
    let offer = BundleClient::connect(&target).await?.get_channel(request, RESPONSE_TIMEOUT).await?;
    let bytes = offer.files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.bytes));
    Ok(format!(
        "{} offers {:?}: {} files with {bytes} bytes in total",
        update.channel,
        offer.bundle,
        offer.files.len()
    ))
}
