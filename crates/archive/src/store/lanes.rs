use std::{
    collections::{BTreeSet, HashMap},
    ops::RangeInclusive,
};

use lopside_delivery::Class;
use serde_json::json;
use sqlx::{AssertSqlSafe, Row as _};

use super::{super::JSON_ROWS, Connection, devices::Devices, read};
use crate::backend::WriteGroup;

/// The key of a lane: its device's id, its spool and its class.
pub(super) type LaneKey = (i64, u32, Class);

/// The lanes of a group. A lane is one class of a spool, with all its epochs.
pub(super) struct Lanes(HashMap<LaneKey, Lane>);

/// The highest numbers of a lane.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lane {
    /// The highest number that was applied or settled; 0 if there is none.
    pub(super) highest: u64,
    /// The highest number that was ever found to be lost; 0 if there is none.
    pub(super) highest_lost: u64,
}

impl Lanes {
    /// Finds the lanes of a group.
    pub(super) async fn load(
        connection: &mut Connection,
        group: WriteGroup<'_>,
        devices: &Devices,
    ) -> sqlx::Result<Self> {
        let mut keys = BTreeSet::new();
        for new in group.connections {
            let id = devices.id_of(&new.device)?;
            keys.extend(new.acknowledged.iter().map(|(class, _)| (id, new.spool, class.code())));
        }
        for batch in group.batches {
            keys.insert((devices.id_of(&batch.device)?, batch.spool, batch.class.code()));
        }
        if keys.is_empty() {
            return Ok(Self(HashMap::new()));
        }
        let select = format!(
            "SELECT k.device_id, k.spool, k.class, \
             COALESCE((SELECT MAX(s.last_number) FROM streams AS s \
             WHERE s.device_id = k.device_id AND s.spool = k.spool AND s.class = k.class), 0), \
             COALESCE((SELECT MAX(l.last_number) FROM losses AS l \
             WHERE l.device_id = k.device_id AND l.spool = k.spool AND l.class = k.class), 0) \
             FROM (SELECT CAST(r.value ->> 0 AS bigint) AS device_id, CAST(r.value ->> 1 AS bigint) AS spool, \
             CAST(r.value ->> 2 AS bigint) AS class FROM {JSON_ROWS} AS r) AS k"
        );
        let rows =
            sqlx::query(AssertSqlSafe(select)).bind(json!(keys).to_string()).fetch_all(connection).await?;
        let lanes = rows.iter().map(|row| {
            let key = (row.try_get(0)?, read::read_spool(row, 1)?, read::read_class(row, 2)?);
            let (highest, highest_lost) = (read::read_unsigned(row, 3)?, read::read_unsigned(row, 4)?);
            Ok((key, Lane { highest, highest_lost }))
        });
        Ok(Self(lanes.collect::<sqlx::Result<_>>()?))
    }

    /// Returns a lane of the group.
    pub(super) fn get_mut(&mut self, key: LaneKey) -> sqlx::Result<&mut Lane> {
        self.0.get_mut(&key).ok_or(sqlx::Error::RowNotFound)
    }
}

impl Lane {
    /// Returns the highest number that the device can have settled before a batch that begins at `first_number`.
    pub(super) fn highest_floor(&self, first_number: u64) -> u64 {
        self.highest.max(self.highest_lost).max(first_number - 1)
    }

    /// Returns the numbers up to the acknowledged one that the archive neither knows nor has lost before, and counts
    /// them as lost.
    pub(super) fn lose_up_to(&mut self, acknowledged: u64) -> Option<RangeInclusive<u64>> {
        let first = self.highest.max(self.highest_lost) + 1;
        if first > acknowledged {
            return None;
        }
        self.highest_lost = acknowledged;
        Some(first..=acknowledged)
    }
}
