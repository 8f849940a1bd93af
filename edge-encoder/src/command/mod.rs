//! The subcommands, one per file.

mod batch;
mod bench;
mod doctor;
mod encode;
mod guard_programs;
mod inspect;
mod outputs;
mod print;
mod run;
#[cfg(feature = "send")]
mod send;
mod status;
mod try_bundle;

use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use lopside_bundle::{BundlePart, image_codec::AnyBundle};
use lopside_encoder::AnyEncoder;
use merge::Merge as _;

#[cfg(feature = "send")]
pub use self::send::SendError;
use crate::{
    EdgeError,
    cli::{Cli, Command},
    error::SettingsError,
    settings::{ImageCodecArgs, read_config_file},
};

/// Runs the command of the command line.
///
/// # Errors
/// [`EdgeError`] with the cause and, if there is one, the fix.
pub async fn run(cli: Cli) -> Result<(), EdgeError> {
    let file = read_config_file(cli.config.as_deref())?;
    match cli.command {
        Command::Encode(args) => encode::run(args, file),
        #[cfg(feature = "send")]
        Command::Send(args) => send::run(args, file).await,
        Command::Run(args) => run::run(args, file).await,
        Command::Doctor(args) => doctor::run(args, file).await,
        Command::Status(args) => status::run(args, file).await,
        Command::Inspect(args) => inspect::run(args, file),
        Command::Bench(args) => bench::run(args, file),
        Command::TryBundle(args) => try_bundle::run(&args),
        Command::GuardPrograms => {
            guard_programs::run();
            Ok(())
        }
    }
}

/// Loads the encoder of the bundle in `folder`, with the options that its model kind supports: the flags, merged over
/// the config file.
fn load_encoder(folder: &Path, flags: ImageCodecArgs, file: ImageCodecArgs) -> Result<AnyEncoder, EdgeError> {
    let bundle = AnyBundle::load(folder, BundlePart::Encoder)?;
    if let AnyBundle::FixedLatent(bundle) = &bundle {
        refuse_options(flags, &bundle.manifest.name)?;
    }
    let mut merged = flags;
    merged.merge(file);
    Ok(AnyEncoder::new(&bundle, &merged.encode_options()?)?)
}

/// Refuses flags that the bundle does not support. The config file may serve bundles of both kinds, so its
/// values are not refused.
fn refuse_options(flags: ImageCodecArgs, bundle: &str) -> Result<(), SettingsError> {
    let ImageCodecArgs { quality, fast, threads, layers: _ } = flags;
    let options = [
        ("--quality (LOPSIDE_QUALITY)", quality.is_some()),
        ("--fast", fast),
        ("--threads", threads.is_some()),
    ];
    match options.into_iter().find(|(_, is_set)| *is_set) {
        Some((option, _)) => Err(SettingsError::UnsupportedOption { option, bundle: bundle.to_owned() }),
        None => Ok(()),
    }
}

/// Returns a counter on stderr; it is invisible if stderr is not a terminal.
fn progress_bar(label: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg}: {pos} ({per_sec})");
    let bar = ProgressBar::new_spinner().with_message(label);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_image_codecs_are_refused_by_name() {
        assert!(refuse_options(ImageCodecArgs::default(), "fashion").is_ok());
        let threads = ImageCodecArgs { threads: Some(1), ..ImageCodecArgs::default() };
        let error = refuse_options(threads, "fashion").unwrap_err().to_string();
        assert!(
            error.contains("--threads") && error.contains("fashion") && error.contains("fixed-latent"),
            "{error}"
        );
    }
}
