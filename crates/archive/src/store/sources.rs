//! The names of sources, which are stored once for each device. A row counts the runs that refer to it, and is deleted
//! together with the last of them. Rows of a device change only while its row is locked.

use std::collections::{BTreeMap, HashMap};

use serde_json::json;
use sqlx::AssertSqlSafe;

use super::{
    super::{JSON_ROWS, SOURCE_KEY},
    Connection,
};

/// The ids of sources.
pub(super) struct SourceIds {
    /// By the id of the device and the name.
    ids: HashMap<i64, HashMap<String, i64>>,
    /// Bytes of the names that are new, by the id of the device.
    new_bytes: HashMap<i64, u64>,
}

/// Counts the sources of new runs, with the ids of their devices, and adds those that are new.
pub(super) async fn add_runs(
    connection: &mut Connection,
    sources: &[(i64, &str)],
) -> sqlx::Result<SourceIds> {
    let mut counts = BTreeMap::<(i64, &str), i64>::new();
    for source in sources {
        *counts.entry(*source).or_default() += 1;
    }
    let rows: Vec<_> = counts.iter().map(|((device_id, text), runs)| (device_id, text, runs)).collect();
    let upsert = format!(
        "INSERT INTO sources (device_id, text, runs) \
         SELECT CAST(r.value ->> 0 AS bigint), r.value ->> 1, CAST(r.value ->> 2 AS bigint) FROM {JSON_ROWS} AS r \
         WHERE true ON CONFLICT ({SOURCE_KEY}) DO UPDATE SET runs = sources.runs + excluded.runs \
         RETURNING id, device_id, text, runs"
    );
    let stored: Vec<(i64, i64, String, i64)> =
        sqlx::query_as(AssertSqlSafe(upsert)).bind(json!(rows).to_string()).fetch_all(connection).await?;
    let mut found = SourceIds { ids: HashMap::new(), new_bytes: HashMap::new() };
    for (id, device_id, text, runs) in stored {
        if counts.get(&(device_id, &text[..])) == Some(&runs) {
            *found.new_bytes.entry(device_id).or_default() += text.len() as u64;
        }
        found.ids.entry(device_id).or_default().insert(text, id);
    }
    Ok(found)
}

/// Subtracts deleted runs from their sources, and deletes the sources that have no runs any more. Returns the bytes of
/// their names by the id of the device.
pub(super) async fn subtract_runs(
    connection: &mut Connection,
    counts: &BTreeMap<i64, u64>,
) -> sqlx::Result<BTreeMap<i64, u64>> {
    let rows = json!(counts.iter().collect::<Vec<_>>()).to_string();
    let update = format!(
        "UPDATE sources SET runs = sources.runs - CAST(r.value ->> 1 AS bigint) FROM {JSON_ROWS} AS r \
         WHERE sources.id = CAST(r.value ->> 0 AS bigint)"
    );
    sqlx::query(AssertSqlSafe(update)).bind(&rows).execute(&mut *connection).await?;
    let delete = format!(
        "DELETE FROM sources WHERE runs <= 0 AND id IN (SELECT CAST(r.value ->> 0 AS bigint) FROM {JSON_ROWS} AS r) \
         RETURNING device_id, CAST(octet_length(text) AS bigint)"
    );
    let deleted: Vec<(i64, i64)> =
        sqlx::query_as(AssertSqlSafe(delete)).bind(&rows).fetch_all(connection).await?;
    let mut bytes = BTreeMap::<i64, u64>::new();
    for (device_id, text_bytes) in deleted {
        *bytes.entry(device_id).or_default() += text_bytes.cast_unsigned();
    }
    Ok(bytes)
}

impl SourceIds {
    /// Returns the id of a source that was added.
    pub(super) fn id_of(&self, device_id: i64, text: &str) -> sqlx::Result<i64> {
        let id = self.ids.get(&device_id).and_then(|ids| ids.get(text));
        id.copied().ok_or(sqlx::Error::RowNotFound)
    }

    /// Returns the bytes of the names that are new, by the id of the device.
    pub(super) fn new_bytes(&self) -> &HashMap<i64, u64> {
        &self.new_bytes
    }
}
