use std::{
    collections::{BTreeSet, HashMap, HashSet},
    ops::RangeInclusive,
};

use lopside_delivery::Class;
use serde_json::json;
use sqlx::{AssertSqlSafe, Row as _};

use super::{super::JSON_ROWS, Connection, Row, devices::Devices, read};
use crate::{ArchiveError, Batch, Watermark};

/// Maximum number of ranges in a stream's watermark. A device exceeds it only if it leaves gaps and never
/// raises its floor.
const MAX_RANGES: usize = 1 << 12;

/// The key of a stream: its device's id, its spool, its class and its epoch.
pub(super) type StreamKey = (i64, u32, Class, u64);

/// The streams of the batches of a group.
pub(super) struct Streams(HashMap<StreamKey, StoredStream>);

/// The row of a stream.
#[derive(Debug)]
pub(super) struct StoredStream {
    pub(super) id: i64,
    /// The streams with the same device, class and epoch in spools of other names.
    pub(super) siblings: Vec<i64>,
    watermark: Watermark,
    /// The lowest applied number; 0 if there is none.
    first_number: u64,
    /// Whether the row did not exist before.
    is_new: bool,
    is_changed: bool,
}

/// The watermark of a stream after a batch, and the numbers of the batch that are new.
#[derive(Debug)]
pub(super) struct NextWatermark {
    watermark: Watermark,
    pub(super) new_ranges: Vec<RangeInclusive<u64>>,
}

impl Streams {
    /// Finds the streams of the batches, and creates new ones.
    pub(super) async fn load(
        connection: &mut Connection,
        batches: &[Batch],
        devices: &Devices,
    ) -> sqlx::Result<Self> {
        let keys = batches.iter().map(|batch| {
            let device_id = devices.id_of(&batch.device)?;
            Ok((device_id, batch.class.code(), batch.epoch.cast_signed(), batch.spool))
        });
        let keys = json!(keys.collect::<sqlx::Result<BTreeSet<_>>>()?).to_string();
        let select_keys = format!(
            "SELECT CAST(r.value ->> 0 AS bigint), CAST(r.value ->> 1 AS bigint), CAST(r.value ->> 2 AS bigint) \
             FROM {JSON_ROWS} AS r"
        );
        let insert = format!(
            "INSERT INTO streams (device_id, class, epoch, spool) \
             SELECT CAST(r.value ->> 0 AS bigint), CAST(r.value ->> 1 AS bigint), CAST(r.value ->> 2 AS bigint), \
             CAST(r.value ->> 3 AS bigint) FROM {JSON_ROWS} AS r WHERE true ON CONFLICT DO NOTHING RETURNING id"
        );
        let new_ids: Vec<i64> =
            sqlx::query_scalar(AssertSqlSafe(insert)).bind(&keys).fetch_all(&mut *connection).await?;
        // Streams of spools with other names are among them.
        let select = format!(
            "SELECT floor, ranges, id, device_id, class, epoch, spool, first_number FROM streams \
             WHERE (device_id, class, epoch) IN ({select_keys})"
        );
        let rows = sqlx::query(AssertSqlSafe(select)).bind(&keys).fetch_all(connection).await?;
        Self::from_rows(&rows, batches, devices, &new_ids.into_iter().collect())
    }

    fn from_rows(
        rows: &[Row],
        batches: &[Batch],
        devices: &Devices,
        new_ids: &HashSet<i64>,
    ) -> sqlx::Result<Self> {
        let mut ids = HashMap::<(i64, Class, u64), Vec<i64>>::new();
        let mut rows_by_key = HashMap::<StreamKey, &Row>::new();
        for row in rows {
            let (device_id, class) = (row.try_get(3)?, read::read_class(row, 4)?);
            let epoch = row.try_get::<i64, _>(5)?.cast_unsigned();
            ids.entry((device_id, class, epoch)).or_default().push(row.try_get(2)?);
            rows_by_key.insert((device_id, read::read_spool(row, 6)?, class, epoch), row);
        }
        let mut streams = HashMap::new();
        for batch in batches {
            let device_id = devices.id_of(&batch.device)?;
            let key = (device_id, batch.spool, batch.class, batch.epoch);
            let Some(row) = rows_by_key.remove(&key) else { continue };
            let mut stream = StoredStream::from_row(row, new_ids)?;
            let same_epoch = ids.get(&(device_id, batch.class, batch.epoch)).into_iter().flatten();
            stream.siblings = same_epoch.copied().filter(|id| *id != stream.id).collect();
            streams.insert(key, stream);
        }
        Ok(Self(streams))
    }

    /// Returns the stream of a batch of the group.
    pub(super) fn get_mut(&mut self, key: StreamKey) -> sqlx::Result<&mut StoredStream> {
        self.0.get_mut(&key).ok_or(sqlx::Error::RowNotFound)
    }

    /// Writes the changed streams, and deletes the new ones of which everything was refused.
    pub(super) async fn write(&self, connection: &mut Connection) -> sqlx::Result<()> {
        let changed: Vec<_> = self
            .0
            .values()
            .filter(|stream| stream.is_changed)
            .map(|StoredStream { id, watermark, first_number, .. }| {
                (*id, watermark.floor(), watermark.ranges_text(), *first_number, watermark.last())
            })
            .collect();
        let update = format!(
            "UPDATE streams SET floor = CAST(r.value ->> 1 AS bigint), ranges = r.value ->> 2, \
             first_number = CAST(r.value ->> 3 AS bigint), last_number = CAST(r.value ->> 4 AS bigint) \
             FROM {JSON_ROWS} AS r WHERE streams.id = CAST(r.value ->> 0 AS bigint)"
        );
        sqlx::query(AssertSqlSafe(update)).bind(json!(changed).to_string()).execute(&mut *connection).await?;
        let unused = self.0.values().filter(|stream| stream.is_new && !stream.is_changed);
        let unused: Vec<_> = unused.map(|stream| [stream.id]).collect();
        if unused.is_empty() {
            return Ok(());
        }
        let delete = format!(
            "DELETE FROM streams WHERE id IN (SELECT CAST(r.value ->> 0 AS bigint) FROM {JSON_ROWS} AS r)"
        );
        sqlx::query(AssertSqlSafe(delete)).bind(json!(unused).to_string()).execute(connection).await.map(drop)
    }
}

impl StoredStream {
    fn from_row(row: &Row, new_ids: &HashSet<i64>) -> sqlx::Result<Self> {
        let id = row.try_get(2)?;
        Ok(Self {
            id,
            siblings: Vec::new(),
            watermark: read::read_watermark(row)?,
            first_number: read::read_unsigned(row, 7)?,
            is_new: new_ids.contains(&id),
            is_changed: false,
        })
    }

    /// Returns the watermark after a batch, whose floor settles only numbers before it: a device that sends records
    /// has not settled them.
    pub(super) fn plan(&self, batch: &Batch) -> Result<NextWatermark, ArchiveError> {
        let mut watermark = self.watermark.clone();
        watermark.raise(batch.floor.min(batch.first_number - 1));
        let new_ranges = watermark.insert(batch.first_number..=batch.last_number());
        if watermark.ranges().len() > MAX_RANGES {
            let reason = format!(
                "its stream would have more than {MAX_RANGES} ranges above the floor: raise the floor"
            );
            return Err(ArchiveError::refused_batch(&batch.device, reason));
        }
        Ok(NextWatermark { watermark, new_ranges })
    }

    /// Takes over the watermark after a batch, and returns the highest number that is applied or settled.
    pub(super) fn advance(&mut self, next: NextWatermark) -> u64 {
        if let Some(first) = next.new_ranges.first().map(|range| *range.start()) {
            let is_lowest = self.first_number == 0 || first < self.first_number;
            self.first_number = if is_lowest { first } else { self.first_number };
        }
        (self.watermark, self.is_changed) = (next.watermark, true);
        self.watermark.last()
    }
}
