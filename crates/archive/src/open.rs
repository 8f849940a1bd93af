//! The database of an address: which backend opens it, and where.

use std::sync::Arc;

use crate::{ArchiveError, Settings, backend::Backend, postgres, sqlite};

/// Opens the database of an address, and brings its schema up to date.
pub(crate) async fn open_backend(url: &str, settings: &Settings) -> Result<Arc<dyn Backend>, ArchiveError> {
    match url.split_once(':') {
        Some(("postgres" | "postgresql", _)) => Ok(Arc::new(postgres::open(url, settings).await?)),
        Some(("sqlite", path)) => {
            // `sqlite:///a/b` and `sqlite:/a/b` are absolute, `sqlite:a/b` and `sqlite://a/b` are relative.
            open_file(url, path.strip_prefix("//").unwrap_or(path), settings).await
        }
        Some((scheme, rest)) if rest.starts_with("//") => {
            // The rest of the address may contain a password.
            Err(ArchiveError::InvalidUrl { url: format!("{scheme}://…") })
        }
        _ => open_file(url, url, settings).await,
    }
}

async fn open_file(url: &str, path: &str, settings: &Settings) -> Result<Arc<dyn Backend>, ArchiveError> {
    // SQLite would create a database in memory for the first two, which lives only as long as its connection. It
    // would take the third for the start of a URI, which may ask for the same.
    if matches!(path, "" | ":memory:") || path.starts_with("file:") {
        return Err(ArchiveError::InvalidUrl { url: url.to_owned() });
    }
    Ok(Arc::new(sqlite::open(path, settings).await?))
}
