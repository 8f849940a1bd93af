use sqlx::Pool;

use super::super::{Db, classify_error};
use crate::{ArchiveError, ArchiveIdentity};

/// Counts an opening of the archive, and returns its identity. The count stays as it was if the database does not
/// store anything at present, because frames can still be read then.
pub(super) async fn count_opening(
    location: &str,
    writer: &Pool<Db>,
) -> Result<ArchiveIdentity, ArchiveError> {
    let counted: sqlx::Result<Vec<(i64, i64)>> =
        sqlx::query_as("UPDATE identity SET generation = generation + 1 RETURNING archive, generation")
            .fetch_all(writer)
            .await;
    let to_error = |error: sqlx::Error| classify_error(location, "count its openings", &error);
    let rows: Vec<(i64, i64)> = match counted.map_err(to_error) {
        Err(error) if error.is_outage() => sqlx::query_as("SELECT archive, generation FROM identity")
            .fetch_all(writer)
            .await
            .map_err(to_error)?,
        rows => rows?,
    };
    let &(id, generation) = rows.first().ok_or_else(|| to_error(sqlx::Error::RowNotFound))?;
    Ok(ArchiveIdentity { id: id.cast_unsigned(), generation: generation.cast_unsigned() })
}
