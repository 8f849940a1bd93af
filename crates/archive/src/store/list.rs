use serde_json::json;
use sqlx::{AssertSqlSafe, Pool, Row as _};

use super::{
    super::{BEGIN_SNAPSHOT, Db, JSON_ROWS},
    Connection, Row, device_page,
    marks::{damaged_filter, read_marks},
    read::{self, damaged_value, read_class, read_unsigned},
    runs::MAX_RUN_FRAMES,
};
use crate::{
    Frame, FrameMeta, FrameQuery, FramesSince, HeadKey, Score,
    clock::{CaptureTime, StoredTime},
};

/// Maximum number of matching frames that are collected and sorted. If more frames have the minimum score, a
/// scan in the order of time finds a page of them soon enough.
const MAX_SORTED_FRAMES: i64 = 20_000;

/// The columns that [`read_meta`] reads.
const META_COLUMNS: &str = "f.id, d.name, s.epoch, s.class, r.first_number + (f.id - r.id), f.time_ms, f.captured_us, \
     r.received_us, r.offset_ms, r.clock, o.text, f.digest, r.latent_space, f.trace, CAST(length(f.frame) AS bigint), \
     h.bundle, h.head, h.version, c.score, c.quantile, c.label, m.damaged, m.latitude_e7, m.longitude_e7, m.altitude_cm";
/// The index of the first column after them.
const NEXT_COLUMN: usize = 25;

/// Returns the SQL that selects the columns of frames, and further columns. `pages` defines `page`, a table of their ids,
/// from which frames and runs are looked up in this order.
fn meta_sql(pages: &str, further_columns: &str) -> String {
    format!(
        "WITH {pages}, placed AS (SELECT id, (SELECT MAX(q.id) FROM runs AS q WHERE q.id <= page.id) AS run_id FROM page) \
         SELECT {META_COLUMNS}{further_columns} FROM placed CROSS JOIN frames AS f CROSS JOIN runs AS r \
         JOIN streams AS s ON s.id = r.stream_id JOIN devices AS d ON d.id = r.device_id \
         JOIN sources AS o ON o.id = r.source_id LEFT JOIN scores AS c ON c.frame_id = f.id \
         LEFT JOIN heads AS h ON h.id = c.head_id \
         LEFT JOIN marks AS m ON m.frame_id = f.id WHERE f.id = placed.id AND r.id = placed.run_id"
    )
}

/// A filter that few frames match, so that a page is selected from these frames alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SelectiveFilter {
    /// Frames of damaged inputs.
    Damaged,
    /// Frames with a minimum score.
    MinScore,
}

/// Returns the frames of a page, and one more if there is one.
pub(super) async fn list_frames(readers: &Pool<Db>, query: &FrameQuery) -> sqlx::Result<Vec<FrameMeta>> {
    // All queries see the same frames, so a page does not end early because of a frame that is deleted meanwhile.
    let mut snapshot = readers.begin_with(BEGIN_SNAPSHOT).await?;
    let selective = find_selective_filter(&mut snapshot, query).await?;
    let frames = if query.device.is_some() && selective.is_none() {
        list_device_frames(&mut snapshot, query).await?
    } else {
        list_by_time(&mut snapshot, query, selective).await?
    };
    snapshot.commit().await?;
    Ok(frames)
}

async fn list_device_frames(connection: &mut Connection, query: &FrameQuery) -> sqlx::Result<Vec<FrameMeta>> {
    let ids = device_page::find_frames(connection, query, query.page_size() as usize + 1).await?;
    let page = format!("page AS (SELECT CAST(q.value ->> 0 AS bigint) AS id FROM {JSON_ROWS} AS q)");
    let sql = format!("{} ORDER BY f.time_ms DESC, f.id DESC", meta_sql(&page, ""));
    let ids: Vec<_> = ids.iter().map(|id| [id]).collect();
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(json!(ids).to_string()).fetch_all(connection).await?;
    rows.iter().map(read_meta).collect()
}

async fn list_by_time(
    connection: &mut Connection,
    query: &FrameQuery,
    selective: Option<SelectiveFilter>,
) -> sqlx::Result<Vec<FrameMeta>> {
    let (time_ms, id) = query.before();
    let sql = AssertSqlSafe(page_sql(query, selective));
    let mut select =
        sqlx::query(sql).bind(query.start_ms()).bind(time_ms).bind(id).bind(i64::from(query.page_size()) + 1);
    if let Some(min_score) = query.min_score {
        select = select.bind(min_score);
    }
    if let Some(device) = &query.device {
        select = select.bind(device);
    }
    select.fetch_all(connection).await?.iter().map(read_meta).collect()
}

pub(super) async fn read_frame(readers: &Pool<Db>, id: i64) -> sqlx::Result<Option<Frame>> {
    let sql = meta_sql("page AS (SELECT id FROM frames WHERE id = $1)", ", f.frame");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(readers).await?;
    row.map(|row| Ok(Frame { meta: read_meta(&row)?, bytes: row.try_get(NEXT_COLUMN)? })).transpose()
}

pub(super) async fn read_frame_bytes(readers: &Pool<Db>, ids: &[i64]) -> sqlx::Result<Vec<(i64, Vec<u8>)>> {
    let sql = format!(
        "SELECT id, frame FROM frames WHERE id IN (SELECT CAST(r.value ->> 0 AS bigint) FROM {JSON_ROWS} AS r)"
    );
    let ids: Vec<_> = ids.iter().map(|id| [id]).collect();
    sqlx::query_as(AssertSqlSafe(sql)).bind(json!(ids).to_string()).fetch_all(readers).await
}

pub(super) async fn frames_since(
    readers: &Pool<Db>,
    id: i64,
    device: Option<&str>,
    limit: u32,
) -> sqlx::Result<FramesSince> {
    let page = match device {
        None => "page AS (SELECT id FROM frames WHERE id > $1 ORDER BY id LIMIT $2)".to_owned(),
        // The sign prevents the use of other indices: the runs are read in the order of their ids.
        Some(_) => format!(
            "page AS (SELECT f.id FROM runs AS r CROSS JOIN frames AS f \
             WHERE r.id > $1 - {MAX_RUN_FRAMES} AND f.id > $1 AND f.id >= r.id AND f.id < r.id + r.length \
             AND +r.device_id = (SELECT id FROM devices WHERE name = $3) ORDER BY r.id, f.id LIMIT $2)"
        ),
    };
    let sql = format!("{} ORDER BY f.id", meta_sql(&page, ""));
    let mut select = sqlx::query(AssertSqlSafe(sql)).bind(id).bind(i64::from(limit));
    if let Some(device) = device {
        select = select.bind(device);
    }
    let rows = select.fetch_all(readers).await?;
    let frames: Vec<FrameMeta> = rows.iter().map(read_meta).collect::<sqlx::Result<_>>()?;
    if frames.len() < limit as usize {
        return Ok(FramesSince { frames, remaining: 0 });
    }
    let last = frames.last().map_or(id, |frame| frame.id);
    let remaining = count_after(readers, last, device).await?;
    Ok(FramesSince { frames, remaining })
}

/// Returns the number of frames with a higher id: those of all later runs, and the rest of the run that contains the id.
async fn count_after(readers: &Pool<Db>, id: i64, device: Option<&str>) -> sqlx::Result<u64> {
    let filter =
        if device.is_some() { "AND +r.device_id = (SELECT id FROM devices WHERE name = $2)" } else { "" };
    let sql = format!(
        "SELECT CAST(COALESCE((SELECT SUM(r.frames) FROM runs AS r WHERE r.id > $1 {filter}), 0) \
         + (SELECT COUNT(*) FROM runs AS r CROSS JOIN frames AS f \
         WHERE r.id <= $1 AND r.id > $1 - {MAX_RUN_FRAMES} AND f.id > $1 AND f.id >= r.id AND f.id < r.id + r.length \
         {filter}) AS bigint)"
    );
    let mut select = sqlx::query_scalar(AssertSqlSafe(sql)).bind(id);
    if let Some(device) = device {
        select = select.bind(device);
    }
    let count: i64 = select.fetch_one(readers).await?;
    Ok(count.cast_unsigned())
}

/// Returns a filter of the query that at most [`MAX_SORTED_FRAMES`] frames match.
async fn find_selective_filter(
    connection: &mut Connection,
    query: &FrameQuery,
) -> sqlx::Result<Option<SelectiveFilter>> {
    if query.damaged == Some(true) && has_few_damaged(connection).await? {
        return Ok(Some(SelectiveFilter::Damaged));
    }
    let Some(min_score) = query.min_score else { return Ok(None) };
    Ok(has_few_scores(connection, min_score).await?.then_some(SelectiveFilter::MinScore))
}

async fn has_few_damaged(connection: &mut Connection) -> sqlx::Result<bool> {
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM (SELECT 1 FROM marks WHERE damaged = 1 LIMIT $1) AS few")
            .bind(MAX_SORTED_FRAMES + 1)
            .fetch_one(connection)
            .await?;
    Ok(count <= MAX_SORTED_FRAMES)
}

async fn has_few_scores(connection: &mut Connection, min_score: f64) -> sqlx::Result<bool> {
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM (SELECT 1 FROM scores WHERE score >= $1 LIMIT $2) AS few")
            .bind(min_score)
            .bind(MAX_SORTED_FRAMES + 1)
            .fetch_one(connection)
            .await?;
    Ok(count <= MAX_SORTED_FRAMES)
}

/// Returns the SQL of a page. `$1` to `$4` are the earliest time, the time and id that the page ends before, and the
/// number of frames; the minimum score and the device follow, if the query has them. The frames of the page are selected
/// from indices alone.
fn page_sql(query: &FrameQuery, selective: Option<SelectiveFilter>) -> String {
    let (few, table) = match selective {
        None => ("", "frames"),
        Some(SelectiveFilter::Damaged) => (
            "few AS MATERIALIZED (SELECT f.id, f.time_ms FROM marks AS m JOIN frames AS f ON f.id = m.frame_id \
             WHERE m.damaged = 1), ",
            "few",
        ),
        Some(SelectiveFilter::MinScore) => (
            "few AS MATERIALIZED (SELECT f.id, f.time_ms FROM scores AS c JOIN frames AS f ON f.id = c.frame_id \
             WHERE c.score >= $5), ",
            "few",
        ),
    };
    let filters = page_filters(query, selective, table);
    let pages = format!(
        "{few}page AS (SELECT id FROM {table} WHERE time_ms >= $1 AND (time_ms, id) < ($2, $3) {filters} \
         ORDER BY time_ms DESC, id DESC LIMIT $4)"
    );
    format!("{} ORDER BY f.time_ms DESC, f.id DESC", meta_sql(&pages, ""))
}

/// Returns the SQL of the filters of a page, without the one that its table has applied.
fn page_filters(query: &FrameQuery, selective: Option<SelectiveFilter>, table: &str) -> String {
    let score = if query.min_score.is_some() && selective != Some(SelectiveFilter::MinScore) {
        format!("AND (SELECT c.score FROM scores AS c WHERE c.frame_id = {table}.id) >= $5")
    } else {
        String::new()
    };
    let damaged = query.damaged.filter(|_| selective != Some(SelectiveFilter::Damaged));
    let damaged = damaged_filter(damaged, &format!("{table}.id"));
    let device = if query.device.is_some() {
        let parameter = if query.min_score.is_some() { 6 } else { 5 };
        format!(
            "AND (SELECT r.device_id FROM runs AS r WHERE r.id <= {table}.id ORDER BY r.id DESC LIMIT 1) \
             = (SELECT d.id FROM devices AS d WHERE d.name = ${parameter})"
        )
    } else {
        String::new()
    };
    [score, damaged, device].join(" ")
}

fn read_meta(row: &Row) -> sqlx::Result<FrameMeta> {
    let stored = StoredTime { time_ms: row.try_get(5)?, captured_us: row.try_get(6)? };
    let (received_us, correction_ms) = (row.try_get(7)?, row.try_get(8)?);
    let captured_us = stored.captured_us(correction_ms);
    let time = CaptureTime::judge(captured_us, received_us, correction_ms, read::read_clock_quality(row, 9)?);
    Ok(FrameMeta {
        id: row.try_get(0)?,
        device: row.try_get::<&str, _>(1)?.into(),
        epoch: row.try_get::<i64, _>(2)?.cast_unsigned(),
        class: read_class(row, 3)?,
        number: read_unsigned(row, 4)?,
        captured_us,
        corrected_us: time.corrected_us,
        clock: time.quality,
        received_us,
        source: row.try_get::<&str, _>(10)?.into(),
        digest: read_digest(row, 11)?,
        latent_space: row.try_get::<i64, _>(12)?.to_be_bytes(),
        trace: row.try_get(13)?,
        marks: read_marks(row, 21)?,
        bytes: read_unsigned(row, 14)?,
        score: read_score(row)?,
    })
}

/// Reads a digest, which is stored as a signed integer of 32 bits.
fn read_digest(row: &Row, column: usize) -> sqlx::Result<u32> {
    let digest =
        i32::try_from(row.try_get::<i64, _>(column)?).map_err(|_| damaged_value("invalid digest"))?;
    Ok(digest.cast_unsigned())
}

/// Reads the score; `None` also for a frame that the head could not read.
fn read_score(row: &Row) -> sqlx::Result<Option<Score>> {
    let (Some(bundle), Some(score)) = (row.try_get(15)?, row.try_get(18)?) else { return Ok(None) };
    let version = u32::try_from(read_unsigned(row, 17)?).map_err(|_| damaged_value("invalid version"))?;
    let head = HeadKey { bundle, head: row.try_get(16)?, version };
    Ok(Some(Score { head, score, quantile: row.try_get(19)?, label: row.try_get(20)? }))
}
