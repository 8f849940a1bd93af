use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row as _};

use super::{
    super::{JSON_ROWS, ROW_LOCK},
    Connection, read,
    runs::RunTotals,
};
use crate::{DeviceClock, backend::WriteGroup};

/// The devices of a group. Other servers cannot write anything of them until the commit.
pub(super) struct Devices(HashMap<String, StoredDevice>);

/// The row of a device, and what the group adds to its counters.
#[derive(Debug)]
pub(super) struct StoredDevice {
    pub(super) id: i64,
    /// The number of the newest connection.
    pub(super) connection: u64,
    /// Number of lost records that have not come again.
    lost: u64,
    clock: DeviceClock,
    /// Whether the row did not exist before.
    is_new: bool,
    changes: Option<DeviceChanges>,
}

/// Additions to the counters of a device.
#[derive(Debug, Clone, Copy, Default)]
struct DeviceChanges {
    frames: u64,
    bytes: u64,
    conflicts: u64,
    alternations: u64,
    displaced: u64,
    runs: u64,
    text_bytes: u64,
}

impl Devices {
    /// Finds the devices of a group, creates new ones, and locks all of them.
    pub(super) async fn load(
        connection: &mut Connection,
        group: WriteGroup<'_>,
        now_us: i64,
    ) -> sqlx::Result<Self> {
        // Sorted, so that two servers do not wait for each other.
        let of_connections = group.connections.iter().map(|connection| [connection.device.as_str()]);
        let of_batches = group.batches.iter().map(|batch| [batch.device.as_str()]);
        let names = json!(of_connections.chain(of_batches).collect::<BTreeSet<_>>()).to_string();
        let insert = format!(
            "INSERT INTO devices (name, first_seen_us, last_seen_us) \
             SELECT r.value ->> 0, $2, $2 FROM {JSON_ROWS} AS r WHERE true ON CONFLICT DO NOTHING RETURNING id"
        );
        let new_ids: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(insert))
            .bind(&names)
            .bind(now_us)
            .fetch_all(&mut *connection)
            .await?;
        let new_ids: HashSet<i64> = new_ids.into_iter().collect();
        let select = format!(
            "SELECT name, id, turn, lost, clock_offset_ms, clock FROM devices \
             WHERE name IN (SELECT r.value ->> 0 FROM {JSON_ROWS} AS r) ORDER BY id {ROW_LOCK}"
        );
        let rows = sqlx::query(AssertSqlSafe(select)).bind(&names).fetch_all(connection).await?;
        let devices = rows.iter().map(|row| {
            let id = row.try_get(1)?;
            let device = StoredDevice {
                id,
                connection: row.try_get::<i64, _>(2)?.cast_unsigned(),
                lost: row.try_get::<i64, _>(3)?.cast_unsigned(),
                clock: read::read_device_clock(row, 4)?,
                is_new: new_ids.contains(&id),
                changes: None,
            };
            Ok((row.try_get(0)?, device))
        });
        Ok(Self(devices.collect::<sqlx::Result<_>>()?))
    }

    /// Returns the id of a device of the group.
    pub(super) fn id_of(&self, name: &str) -> sqlx::Result<i64> {
        self.0.get(name).map(|device| device.id).ok_or(sqlx::Error::RowNotFound)
    }

    /// Returns a device of the group.
    pub(super) fn get_mut(&mut self, name: &str) -> sqlx::Result<&mut StoredDevice> {
        self.0.get_mut(name).ok_or(sqlx::Error::RowNotFound)
    }

    /// Counts the runs and texts that were inserted, by the id of the device.
    pub(super) fn count_runs(&mut self, totals: &HashMap<i64, RunTotals>) {
        for device in self.0.values_mut() {
            if let Some(RunTotals { runs, text_bytes }) = totals.get(&device.id) {
                let changes = device.changes();
                changes.runs += runs;
                changes.text_bytes += text_bytes;
            }
        }
    }

    /// Writes the changed devices, and deletes the new ones of which everything was refused.
    pub(super) async fn write(&self, connection: &mut Connection, now_us: i64) -> sqlx::Result<()> {
        let changed: Vec<Value> = self.0.values().filter_map(StoredDevice::changed_columns).collect();
        let update = format!(
            "UPDATE devices SET last_seen_us = $2, turn = CAST(r.value ->> 1 AS bigint), \
             lost = CAST(r.value ->> 2 AS bigint), clock_offset_ms = CAST(r.value ->> 3 AS bigint), \
             clock = CAST(r.value ->> 4 AS bigint), applied = applied + CAST(r.value ->> 5 AS bigint), \
             frames = frames + CAST(r.value ->> 5 AS bigint), bytes = bytes + CAST(r.value ->> 6 AS bigint), \
             runs = runs + CAST(r.value ->> 7 AS bigint), text_bytes = text_bytes + CAST(r.value ->> 8 AS bigint), \
             conflicts = conflicts + CAST(r.value ->> 9 AS bigint), \
             alternations = alternations + CAST(r.value ->> 10 AS bigint), \
             displaced = displaced + CAST(r.value ->> 11 AS bigint) \
             FROM {JSON_ROWS} AS r WHERE devices.id = CAST(r.value ->> 0 AS bigint)"
        );
        sqlx::query(AssertSqlSafe(update))
            .bind(json!(changed).to_string())
            .bind(now_us)
            .execute(&mut *connection)
            .await?;
        let unused = self.0.values().filter(|device| device.is_new && device.changes.is_none());
        let unused: Vec<_> = unused.map(|device| [device.id]).collect();
        if unused.is_empty() {
            return Ok(());
        }
        let delete = format!(
            "DELETE FROM devices WHERE id IN (SELECT CAST(r.value ->> 0 AS bigint) FROM {JSON_ROWS} AS r)"
        );
        sqlx::query(AssertSqlSafe(delete)).bind(json!(unused).to_string()).execute(connection).await.map(drop)
    }
}

impl StoredDevice {
    /// Counts a new connection, which displaced others, and returns its number. The clock is the one of its device.
    pub(super) fn count_connection(&mut self, displaced: u64, clock: DeviceClock) -> u64 {
        self.connection += 1;
        self.clock = clock;
        self.changes().displaced += displaced;
        self.connection
    }

    /// Counts new frames; 0 for a batch that had nothing new.
    pub(super) fn count_frames(&mut self, frames: u64, bytes: u64) {
        let changes = self.changes();
        changes.frames += frames;
        changes.bytes += bytes;
    }

    /// Counts a batch that was refused because it contradicts archived frames.
    pub(super) fn count_conflict(&mut self) {
        self.changes().conflicts += 1;
    }

    /// Counts a batch that continued an epoch next to a newer one.
    pub(super) fn count_alternation(&mut self) {
        self.changes().alternations += 1;
    }

    /// Counts records that the archive has lost. A device may name any number, so the sum is limited.
    pub(super) fn count_lost(&mut self, records: u64) {
        self.lost = self.lost.saturating_add(records).min(i64::MAX.cast_unsigned());
    }

    /// Counts lost records that have come again.
    pub(super) fn count_returned(&mut self, records: u64) {
        self.lost = self.lost.saturating_sub(records);
    }

    /// Returns the id and the columns of a changed row: the new values of the first ones, and what is added to the others.
    fn changed_columns(&self) -> Option<Value> {
        let Self { id, connection, lost, clock, .. } = *self;
        let DeviceChanges { frames, bytes, conflicts, alternations, displaced, runs, text_bytes } =
            self.changes?;
        let (offset_ms, quality) = (clock.offset_ms, clock.quality.code());
        Some(json!([
            id,
            connection,
            lost,
            offset_ms,
            quality,
            frames,
            bytes,
            runs,
            text_bytes,
            conflicts,
            alternations,
            displaced
        ]))
    }

    /// Returns the changes of a device whose row is to be written.
    fn changes(&mut self) -> &mut DeviceChanges {
        self.changes.get_or_insert_default()
    }
}
