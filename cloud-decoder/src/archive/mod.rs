//! The archive that a server keeps: its settings, and what is done with it without being asked.

mod settings;
mod sweep;

use lopside_archive::Archive;

pub use self::settings::{ArchiveArgs, ArchiveSettings};
use crate::StartError;

/// Opens the archive of the settings, and sweeps it from then on for as long as it is in use.
///
/// # Errors
/// [`StartError::Archive`].
pub(crate) async fn open(settings: &ArchiveSettings) -> Result<Archive, StartError> {
    let archive = Archive::open(&settings.url, settings.database()).await?;
    tokio::spawn(sweep::run(archive.clone()));
    Ok(archive)
}
