use std::collections::HashMap;

use serde_json::json;
use sqlx::AssertSqlSafe;

use super::{super::JSON_ROWS, Connection};

/// Returns, by index, the epochs that are newer than those of the given streams and have taken over from them: the
/// stream, with a new number, continues next to the newer epoch of the same spool and class. A device leaves an epoch
/// before it begins another one, so two devices number frames with copies of the spool.
///
/// Epochs are random numbers. One is newer than another if the archive has known it for a shorter time and the numbers
/// of the two overlap. Epochs that arrive in the wrong order, because a commit has failed, do not overlap.
pub(super) async fn find_newer_epochs(
    connection: &mut Connection,
    streams: &[(i64, u64)],
) -> sqlx::Result<HashMap<usize, u64>> {
    if streams.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<_> = streams.iter().enumerate().map(|(index, (id, number))| (index, id, number)).collect();
    let select = format!(
        "SELECT CAST(r.value ->> 0 AS bigint), b.epoch FROM {JSON_ROWS} AS r \
         JOIN streams AS a ON a.id = CAST(r.value ->> 1 AS bigint) \
         JOIN streams AS b ON b.device_id = a.device_id AND b.spool = a.spool AND b.class = a.class \
         AND b.last_number >= a.first_number AND b.id > a.id \
         WHERE b.first_number BETWEEN 1 AND CAST(r.value ->> 2 AS bigint) ORDER BY b.id"
    );
    let newer: Vec<(i64, i64)> =
        sqlx::query_as(AssertSqlSafe(select)).bind(json!(rows).to_string()).fetch_all(connection).await?;
    // The newest of several epochs comes last.
    Ok(newer.into_iter().map(|(index, epoch)| (index as usize, epoch.cast_unsigned())).collect())
}
