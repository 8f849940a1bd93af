//! The database of an address: which backend opens it, and where.

use std::sync::Arc;

use crate::{ArchiveError, AuditReport, Settings, backend::Backend, postgres, sqlite};

/// The database that an address names.
enum Address<'a> {
    /// The address of a server's database.
    Postgres(&'a str),
    /// The path of a file.
    Sqlite(&'a str),
}

/// Opens the database of an address, and brings its schema up to date.
pub(crate) async fn open_backend(url: &str, settings: &Settings) -> Result<Arc<dyn Backend>, ArchiveError> {
    match parse_address(url)? {
        Address::Postgres(url) => Ok(Arc::new(postgres::open(url, settings).await?)),
        Address::Sqlite(path) => Ok(Arc::new(sqlite::open(path, settings).await?)),
    }
}

/// Checks the audit log of the database of an address, which is neither created nor changed.
pub(crate) async fn verify_audit(url: &str) -> Result<AuditReport, ArchiveError> {
    match parse_address(url)? {
        Address::Postgres(url) => postgres::verify_audit(url).await,
        Address::Sqlite(path) => sqlite::verify_audit(path).await,
    }
}

fn parse_address(url: &str) -> Result<Address<'_>, ArchiveError> {
    match url.split_once(':') {
        Some(("postgres" | "postgresql", _)) => Ok(Address::Postgres(url)),
        Some(("sqlite", path)) => {
            // `sqlite:///a/b` and `sqlite:/a/b` are absolute, `sqlite:a/b` and `sqlite://a/b` are relative.
            file_address(url, path.strip_prefix("//").unwrap_or(path))
        }
        Some((scheme, rest)) if rest.starts_with("//") => {
            // The rest of the address may contain a password.
            Err(ArchiveError::InvalidUrl { url: format!("{scheme}://…") })
        }
        _ => file_address(url, url),
    }
}

fn file_address<'a>(url: &str, path: &'a str) -> Result<Address<'a>, ArchiveError> {
    // SQLite would create a database in memory for the first two, which lives only as long as its connection. It
    // would take the third for the start of a URI, which may ask for the same.
    if matches!(path, "" | ":memory:") || path.starts_with("file:") {
        return Err(ArchiveError::InvalidUrl { url: url.to_owned() });
    }
    Ok(Address::Sqlite(path))
}
