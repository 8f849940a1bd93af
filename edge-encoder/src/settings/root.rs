use clap::Args;
use merge::Merge;
use serde::Deserialize;

use super::{
    bundle::BundleArg,
    connection::{
        ApiKeyArg, CaArg, ClientCertArg, ClientKeyArg, EndpointArg, ProxyArg, TimeoutArg, check_security,
    },
    device::DeviceArg,
    image_codec::ImageCodecArgs,
    image_table::ImagesTable,
    images::{BackgroundArg, DamagedImagesArg, image_policy},
    output::OutArg,
    rate::RateTable,
    socket::SocketArg,
    source::{SourceTable, check_sources},
    spool::SpoolTable,
    update::UpdateTable,
    uplink::UplinkTable,
};
use crate::{EdgeError, SecuritySettings, agent::AgentSettings};

/// The root table of the config file. Its flags are those of `run`; the other commands take some of its keys.
#[derive(Debug, Default, Args, Deserialize, Merge)]
#[serde(deny_unknown_fields, default)]
pub struct RootTable {
    #[command(flatten)]
    pub(crate) bundle: BundleArg,
    #[command(flatten)]
    pub(crate) endpoint: EndpointArg,
    #[arg(skip)]
    pub(crate) out: OutArg,
    #[arg(skip)]
    #[serde(rename = "timeout_seconds")]
    pub(crate) timeout: TimeoutArg,
    #[command(flatten)]
    pub(crate) device: DeviceArg,
    #[command(flatten)]
    pub(crate) spool: SpoolTable,
    #[command(flatten)]
    pub(crate) update: UpdateTable,
    #[command(flatten)]
    pub(crate) socket: SocketArg,
    #[command(flatten)]
    pub(crate) background: BackgroundArg,
    #[command(flatten)]
    pub(crate) damaged_images: DamagedImagesArg,
    #[command(flatten, next_help_heading = "Security")]
    pub(crate) ca: CaArg,
    #[command(flatten)]
    pub(crate) client_cert: ClientCertArg,
    #[command(flatten)]
    pub(crate) client_key: ClientKeyArg,
    #[command(flatten)]
    pub(crate) api_key: ApiKeyArg,
    #[command(flatten)]
    pub(crate) proxy: ProxyArg,
    #[command(flatten)]
    #[serde(rename = "quality")]
    pub(crate) image_codec: ImageCodecArgs,
    #[arg(skip)]
    uplink: UplinkTable,
    #[arg(skip)]
    rate: RateTable,
    #[arg(skip)]
    pub(crate) images: ImagesTable,
    #[arg(skip)]
    #[serde(rename = "source")]
    #[merge(strategy = merge::vec::overwrite_empty)]
    sources: Vec<SourceTable>,
}

impl RootTable {
    /// Merges these flags and environment variables over the config file.
    pub(crate) fn merge_over(mut self, file: Self) -> Self {
        self.rate = RateTable::from_flags(self.image_codec);
        self.merge(file);
        self
    }

    /// Returns the settings of the agent.
    ///
    /// # Errors
    /// [`EdgeError::Settings`], which names the setting that is missing or invalid.
    pub(crate) fn into_agent_settings(self) -> Result<AgentSettings, EdgeError> {
        let endpoint = self.endpoint.into_url()?;
        let proxy = self.proxy.into_choice()?;
        let security = check_security(self.ca, self.client_cert, self.client_key, self.api_key)?;
        let security = SecuritySettings { proxy, ..security };
        let encode = self.image_codec.encode_options()?;
        let sources = check_sources(&self.sources)?;
        let device = self.device.into_name()?;
        let spool = self.spool.into_settings()?;
        let quality = encode.image_codec.quality.get();
        let bounds = self.rate.bounds(quality, self.image_codec.layers, spool.budget_bytes)?;
        Ok(AgentSettings {
            device,
            endpoint,
            security,
            spool,
            uplink: self.uplink.timeouts(),
            socket: self.socket.socket,
            bounds,
            images: self.images.settings(image_policy(self.background, self.damaged_images))?,
            update: self.update.into_settings(encode)?,
            sources,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    /// The flags of `run`.
    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        root: RootTable,
    }

    /// Returns the agent's settings with these flags over a config file with `more` at its end.
    fn settings(flags: &[&str], more: &str) -> Result<AgentSettings, String> {
        let file = format!(
            "endpoint = 'http://file'\ndevice = 'file'\nca = 'file.pem'\n\
             [[source]]\nfolder = 'inbox'\n[spool]\nfolder = 'file'\nmegabytes = 3\n\
             [update]\nchannel = 'file'\n{more}"
        );
        let flags = Flags::try_parse_from([&["run"], flags].concat()).map_err(|error| error.to_string())?;
        let settings = flags.root.merge_over(toml::from_str(&file).map_err(|error| error.to_string())?);
        settings.into_agent_settings().map_err(|error| error.to_string())
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let found = settings(&[], "").unwrap();
        assert_eq!((&found.endpoint[..], &found.device[..]), ("http://file", "file"));
        assert_eq!((found.spool.folder, found.spool.budget_bytes), ("file".into(), 3_000_000));
        assert_eq!(
            (found.update.unwrap().channel, found.security.ca),
            ("file".into(), Some("file.pem".into()))
        );
        assert_eq!((found.bounds.quality, found.socket), ([50, 50], None));
        let flags = [
            "--endpoint=http://flag",
            "--device=flag",
            "--spool=flag",
            "--channel=flag",
            "--socket=flag",
            "--ca=flag.pem",
            "--proxy=flag.example:3128",
        ];
        let found = settings(&flags, "").unwrap();
        assert_eq!(format!("{:?}", found.security.proxy), "Address(ProxyAddress(http://flag.example:3128))");
        assert_eq!((&found.endpoint[..], &found.device[..]), ("http://flag", "flag"));
        assert_eq!((found.spool.folder, found.spool.budget_bytes), ("flag".into(), 3_000_000));
        assert_eq!(
            (found.update.unwrap().channel, found.security.ca),
            ("flag".into(), Some("flag.pem".into()))
        );
        assert_eq!(found.socket, Some("flag".into()));
    }

    #[test]
    fn a_flag_wins_over_the_bounds_of_the_file() {
        let rate = "[rate]\nmin_quality = 20\nmax_quality = 70\nmin_layers = 1\nmax_layers = 3\n";
        let bounds = |flags: &[&str]| settings(flags, rate).unwrap().bounds;
        assert_eq!((bounds(&[]).quality, bounds(&[]).layers), ([20, 70], [Some(1), Some(3)]));
        for quality in [40, 90] {
            let flag = format!("--quality={quality}");
            assert_eq!(bounds(&[flag.as_str()]).quality, [20, quality]);
        }
        assert_eq!(bounds(&["--layers=2"]).layers, [Some(1), Some(2)]);
        let error = settings(&["--quality=10"], rate).unwrap_err();
        assert!(error.contains("from 20 to 10"), "{error}");
    }

    #[test]
    fn the_quality_of_the_file_is_the_highest_without_a_bound() {
        let file = "quality = 60\n[[source]]\nfolder = 'a'\n[rate]\nmin_quality = 30\n";
        let file: RootTable = toml::from_str(file).unwrap();
        let flags = Flags::parse_from(["run", "--endpoint=http://x", "--device=x"]);
        let settings = flags.root.merge_over(file).into_agent_settings().unwrap();
        assert_eq!(settings.bounds.quality, [30, 60]);
    }
}
