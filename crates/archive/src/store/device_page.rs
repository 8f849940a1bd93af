//! A page of the frames of one device, newest first. There is no index of a device's frames by time, which would take more
//! space than a small frame. Instead, the runs of the device are read from the latest time on, and their frames are
//! merged.
//!
//! ```text
//! time of the runs:     ├─────┤        latest time below the position: read in order, until the page is complete
//!                    ├────┤
//!                          ├──┼──┤     latest time after the position: few, because runs are short
//!  ◄──────── older            │ position
//! ```
//! All frames of the runs that are not read yet are older than the last run that was read. The page is therefore complete
//! as soon as it has enough frames that are not older than this.

use serde_json::json;
use sqlx::AssertSqlSafe;

use super::{super::JSON_ROWS, Connection, marks::damaged_filter, runs::RUN_TIME_MS};
use crate::FrameQuery;

/// A position in a list: a time in milliseconds, and the id of a frame or a run.
type Position = (i64, i64);

/// A run whose frames may be on the page: its latest time, its id, its length, and the number of its frames.
type RunRow = (i64, i64, i64, i64);

/// The newest frames that were found so far.
struct Page<'a> {
    query: &'a FrameQuery,
    /// Maximum number of frames.
    limit: usize,
    /// The positions of the frames, newest first.
    frames: Vec<Position>,
}

/// Returns the ids of the first `limit` frames of the query, newest first. The query names a device.
pub(super) async fn find_frames(
    connection: &mut Connection,
    query: &FrameQuery,
    limit: usize,
) -> sqlx::Result<Vec<i64>> {
    let device_id: Option<i64> = sqlx::query_scalar("SELECT id FROM devices WHERE name = $1")
        .bind(query.device.as_deref().unwrap_or_default())
        .fetch_optional(&mut *connection)
        .await?;
    let Some(device_id) = device_id else { return Ok(Vec::new()) };
    let mut page = Page { query, limit, frames: Vec::new() };
    let straddling = straddling_runs(connection, device_id, query.before()).await?;
    page.add_frames(connection, &straddling).await?;
    let mut position = query.before();
    loop {
        let runs = page.next_runs(connection, device_id, position).await?;
        let Some(&(last_ms, id, ..)) = runs.last() else { break };
        page.add_frames(connection, &runs).await?;
        position = (last_ms, id);
        if page.is_complete(position) {
            break;
        }
    }
    Ok(page.frames.into_iter().map(|(_, id)| id).collect())
}

/// Returns the runs that contain the position, or that begin before it and end after it.
async fn straddling_runs(
    connection: &mut Connection,
    device_id: i64,
    (time_ms, id): Position,
) -> sqlx::Result<Vec<RunRow>> {
    sqlx::query_as(
        "SELECT last_ms, id, length, frames FROM runs WHERE device_id = $1 AND last_ms >= $2 AND last_ms <= $4 \
         AND last_ms - span_ms <= $2 AND (last_ms, id) >= ($2, $3)",
    )
    .bind(device_id)
    .bind(time_ms)
    .bind(id)
    .bind(time_ms.saturating_add(RUN_TIME_MS))
    .fetch_all(connection)
    .await
}

impl Page<'_> {
    /// Returns the next runs before a position that have enough frames for the page.
    async fn next_runs(
        &self,
        connection: &mut Connection,
        device_id: i64,
        (time_ms, id): Position,
    ) -> sqlx::Result<Vec<RunRow>> {
        let runs: Vec<RunRow> = sqlx::query_as(
            "SELECT last_ms, id, length, frames FROM runs \
             WHERE device_id = $1 AND last_ms >= $2 AND (last_ms, id) < ($3, $4) \
             ORDER BY last_ms DESC, id DESC LIMIT $5",
        )
        .bind(device_id)
        .bind(self.query.start_ms())
        .bind(time_ms)
        .bind(id)
        .bind(self.limit as i64)
        .fetch_all(connection)
        .await?;
        let mut frames = 0;
        let needed = runs.into_iter().take_while(|(.., run_frames)| {
            let is_needed = frames < self.limit;
            frames += *run_frames as usize;
            is_needed
        });
        Ok(needed.collect())
    }

    /// Adds the frames of some runs that match the query.
    async fn add_frames(&mut self, connection: &mut Connection, runs: &[RunRow]) -> sqlx::Result<()> {
        if runs.is_empty() {
            return Ok(());
        }
        let score_filter = match self.query.min_score {
            Some(_) => "AND (SELECT c.score FROM scores AS c WHERE c.frame_id = f.id) >= $6",
            None => "",
        };
        let damaged_filter = damaged_filter(self.query.damaged, "f.id");
        // The sums prevent the use of the index by time: the runs must find the frames.
        let select = format!(
            "SELECT f.time_ms, f.id FROM {JSON_ROWS} AS q CROSS JOIN frames AS f \
             WHERE f.id >= CAST(q.value ->> 0 AS bigint) \
             AND f.id < CAST(q.value ->> 0 AS bigint) + CAST(q.value ->> 1 AS bigint) \
             AND f.time_ms + 0 >= $2 AND (f.time_ms + 0, f.id) < ($3, $4) {score_filter} {damaged_filter} \
             ORDER BY f.time_ms + 0 DESC, f.id DESC LIMIT $5"
        );
        let ranges: Vec<_> = runs.iter().map(|(_, id, length, _)| (id, length)).collect();
        let (time_ms, id) = self.query.before();
        let mut rows = sqlx::query_as(AssertSqlSafe(select))
            .bind(json!(ranges).to_string())
            .bind(self.query.start_ms())
            .bind(time_ms)
            .bind(id)
            .bind(self.limit as i64);
        if let Some(min_score) = self.query.min_score {
            rows = rows.bind(min_score);
        }
        let found: Vec<Position> = rows.fetch_all(connection).await?;
        self.frames.extend(found);
        self.frames.sort_unstable_by(|a, b| b.cmp(a));
        self.frames.truncate(self.limit);
        Ok(())
    }

    /// Returns whether the page has enough frames that are not older than a position.
    fn is_complete(&self, position: Position) -> bool {
        self.frames.len() >= self.limit && self.frames.last().is_none_or(|last| *last >= position)
    }
}
