use serde_json::json;
use sqlx::{AssertSqlSafe, Pool, Row as _};

use super::{
    super::{Db, JSON_ROWS},
    Row,
    read::{damaged_value, read_class, read_unsigned},
};
use crate::{Frame, FrameMeta, FrameQuery, FramesSince, HeadKey, Score};

/// Maximum number of matching frames that are collected and sorted. If more frames have the minimum score, a
/// scan in the order of time finds a page of them soon enough.
const MAX_SORTED_FRAMES: i64 = 20_000;

/// The columns that [`read_meta`] reads.
const META_COLUMNS: &str = "f.id, d.name, s.epoch, s.class, f.number, f.captured_us, f.received_us, f.source, f.digest, \
     f.latent_space, f.trace, CAST(length(f.frame) AS bigint), h.bundle, h.head, h.version, f.score, f.quantile, \
     f.label";

const META_JOINS: &str = "JOIN streams AS s ON s.id = f.stream_id JOIN devices AS d ON d.id = f.device_id \
     LEFT JOIN heads AS h ON h.id = f.scored_by";

/// Returns the frames of a page, and one more if there is one.
pub(super) async fn list_frames(readers: &Pool<Db>, query: &FrameQuery) -> sqlx::Result<Vec<FrameMeta>> {
    let has_few_matches = match query.min_score {
        Some(min_score) => has_few_matches(readers, min_score).await?,
        None => false,
    };
    let (captured_us, id) = query.before();
    let sql = AssertSqlSafe(page_sql(query, has_few_matches));
    let mut select = sqlx::query(sql)
        .bind(query.from_us.unwrap_or(i64::MIN))
        .bind(captured_us)
        .bind(id)
        .bind(i64::from(query.page_size()) + 1);
    if let Some(min_score) = query.min_score {
        select = select.bind(min_score);
    }
    if let Some(device) = &query.device {
        select = select.bind(device);
    }
    select.fetch_all(readers).await?.iter().map(read_meta).collect()
}

pub(super) async fn read_frame(readers: &Pool<Db>, id: i64) -> sqlx::Result<Option<Frame>> {
    let sql = format!("SELECT {META_COLUMNS}, f.frame FROM frames AS f {META_JOINS} WHERE f.id = $1");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(readers).await?;
    row.map(|row| Ok(Frame { meta: read_meta(&row)?, bytes: row.try_get(18)? })).transpose()
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
    const LATER_FRAMES: &str =
        "FROM frames WHERE id > $1 AND ($2 IS NULL OR device_id = (SELECT id FROM devices WHERE name = $2))";
    let sql = format!(
        "WITH page AS (SELECT id {LATER_FRAMES} ORDER BY id LIMIT $3) \
         SELECT {META_COLUMNS} FROM page JOIN frames AS f ON f.id = page.id {META_JOINS} ORDER BY f.id"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(id).bind(device).bind(i64::from(limit));
    let frames: Vec<FrameMeta> =
        rows.fetch_all(readers).await?.iter().map(read_meta).collect::<sqlx::Result<_>>()?;
    let Some(last) = frames.last().filter(|_| frames.len() >= limit as usize).map(|frame| frame.id) else {
        return Ok(FramesSince { frames, remaining: 0 });
    };
    let sql = format!("SELECT count(*) {LATER_FRAMES}");
    let remaining: i64 =
        sqlx::query_scalar(AssertSqlSafe(sql)).bind(last).bind(device).fetch_one(readers).await?;
    Ok(FramesSince { frames, remaining: remaining.cast_unsigned() })
}

/// Returns whether at most [`MAX_SORTED_FRAMES`] frames have a score of at least `min_score`.
async fn has_few_matches(readers: &Pool<Db>, min_score: f64) -> sqlx::Result<bool> {
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM (SELECT 1 FROM frames WHERE score >= $1 LIMIT $2) AS few")
            .bind(min_score)
            .bind(MAX_SORTED_FRAMES + 1)
            .fetch_one(readers)
            .await?;
    Ok(count <= MAX_SORTED_FRAMES)
}

/// Returns the SQL of a page. `$1` to `$4` are the earliest time, the time and id that the page ends before,
/// and the number of frames. The frames of the page are selected from indices alone.
fn page_sql(query: &FrameQuery, has_few_matches: bool) -> String {
    let (with_clause, table, score_filter) = match query.min_score {
        None => ("", "frames", ""),
        Some(_) if has_few_matches => {
            let with_few =
                "few AS MATERIALIZED (SELECT id, captured_us, device_id FROM frames WHERE score >= $5), ";
            (with_few, "few", "")
        }
        // The sign prevents the use of the score index: the index by time must find the frames.
        Some(_) => ("", "frames", "AND +score >= $5"),
    };
    let device_filter = match (&query.device, query.min_score) {
        (None, _) => "",
        (Some(_), None) => "AND device_id = (SELECT id FROM devices WHERE name = $5)",
        (Some(_), Some(_)) => "AND device_id = (SELECT id FROM devices WHERE name = $6)",
    };
    format!(
        "WITH {with_clause}page AS (SELECT id FROM {table} \
         WHERE captured_us >= $1 AND (captured_us, id) < ($2, $3) {score_filter} {device_filter} \
         ORDER BY captured_us DESC, id DESC LIMIT $4) \
         SELECT {META_COLUMNS} FROM page JOIN frames AS f ON f.id = page.id {META_JOINS} \
         ORDER BY f.captured_us DESC, f.id DESC"
    )
}

fn read_meta(row: &Row) -> sqlx::Result<FrameMeta> {
    Ok(FrameMeta {
        id: row.try_get(0)?,
        device: row.try_get(1)?,
        epoch: row.try_get::<i64, _>(2)?.cast_unsigned(),
        class: read_class(row, 3)?,
        number: read_unsigned(row, 4)?,
        captured_us: row.try_get(5)?,
        received_us: row.try_get(6)?,
        source: row.try_get(7)?,
        digest: u32::try_from(read_unsigned(row, 8)?).map_err(|_| damaged_value("invalid digest"))?,
        latent_space: row.try_get::<i64, _>(9)?.to_be_bytes(),
        trace: row.try_get(10)?,
        bytes: read_unsigned(row, 11)?,
        score: read_score(row)?,
    })
}

/// Reads the score; `None` also for a frame that the head could not read.
fn read_score(row: &Row) -> sqlx::Result<Option<Score>> {
    let (Some(bundle), Some(score)) = (row.try_get(12)?, row.try_get(15)?) else { return Ok(None) };
    let version = u32::try_from(read_unsigned(row, 14)?).map_err(|_| damaged_value("invalid version"))?;
    let head = HeadKey { bundle, head: row.try_get(13)?, version };
    Ok(Some(Score { head, score, quantile: row.try_get(16)?, label: row.try_get(17)? }))
}
