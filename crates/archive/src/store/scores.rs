use std::collections::{BTreeSet, HashMap};

use serde_json::json;
use sqlx::{AssertSqlSafe, Pool};

use super::{
    super::{Db, JSON_ROWS, ROW_LOCK},
    Connection,
};
use crate::{HeadKey, LatentSpaceKey, NewScore, UnscoredFrame};

/// The value of `runs.scored_by` if a frame of the run does not have a score, and the head of such a frame.
const UNSCORED: i64 = 0;
/// The value of `runs.scored_by` if the scores of its frames are from several heads.
const MIXED: i64 = -1;

/// Returns frames of these latent spaces whose newest score is missing, from another head, or from an older
/// version of this head, in this order. The newest version wins, however many servers with different versions
/// there are.
pub(super) async fn unscored_frames(
    readers: &Pool<Db>,
    head: &HeadKey,
    spaces: &[LatentSpaceKey],
    limit: u32,
) -> sqlx::Result<Vec<UnscoredFrame>> {
    let mut connection = readers.acquire().await?;
    let mut frames = Vec::new();
    for scored_by in replaced_heads(&mut connection, head).await? {
        for space in spaces {
            let remaining = (limit as usize).saturating_sub(frames.len());
            if remaining == 0 {
                return Ok(frames);
            }
            let found = find_scored_by(&mut connection, *space, scored_by, remaining).await?;
            frames.extend(read_frames(&mut connection, *space, scored_by, &found).await?);
        }
    }
    Ok(frames)
}

/// Returns the ids and the times of arrival of frames of a latent space whose scores are from a head, [`UNSCORED`] for
/// those without a score. Most are in runs whose frames are all scored by it; the others are in a few runs that are being
/// scored.
async fn find_scored_by(
    connection: &mut Connection,
    space: LatentSpaceKey,
    head_id: i64,
    limit: usize,
) -> sqlx::Result<Vec<(i64, i64)>> {
    let run_states: &[i64] = if head_id == UNSCORED { &[UNSCORED] } else { &[UNSCORED, MIXED, head_id] };
    let mut frames: Vec<(i64, i64)> = Vec::new();
    for run_state in run_states {
        let remaining = limit.saturating_sub(frames.len());
        // The sign keeps SQLite from computing the indexed expression from `$1`.
        let found: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT f.id, r.received_us FROM runs AS r CROSS JOIN frames AS f LEFT JOIN scores AS c ON c.frame_id = f.id \
             WHERE r.latent_space & 65535 = $2 AND +r.latent_space = $1 AND r.scored_by = $3 \
             AND f.id >= r.id AND f.id < r.id + r.length AND COALESCE(c.head_id, 0) = $4 \
             ORDER BY r.id, f.id LIMIT $5",
        )
        .bind(i64::from_be_bytes(space))
        .bind(i64::from_be_bytes(space) & 0xffff)
        .bind(*run_state)
        .bind(head_id)
        .bind(remaining as i64)
        .fetch_all(&mut *connection)
        .await?;
        frames.extend(found);
    }
    Ok(frames)
}

/// Reads the bytes of frames with these ids and times of arrival, in the order of the list. Their scores are from the
/// head `scored_by`.
async fn read_frames(
    connection: &mut Connection,
    space: LatentSpaceKey,
    scored_by: i64,
    listed: &[(i64, i64)],
) -> sqlx::Result<Vec<UnscoredFrame>> {
    let select = format!(
        "SELECT id, frame FROM frames WHERE id IN (SELECT CAST(r.value ->> 0 AS bigint) FROM {JSON_ROWS} AS r)"
    );
    let rows: Vec<_> = listed.iter().map(|(id, _)| [id]).collect();
    let found: Vec<(i64, Vec<u8>)> =
        sqlx::query_as(AssertSqlSafe(select)).bind(json!(rows).to_string()).fetch_all(connection).await?;
    let mut bytes: HashMap<i64, Vec<u8>> = found.into_iter().collect();
    let frames = listed.iter().filter_map(|&(id, received_us)| {
        let frame = bytes.remove(&id)?;
        let has_older_score = scored_by != UNSCORED;
        Some(UnscoredFrame { id, latent_space: space, received_us, has_older_score, frame })
    });
    Ok(frames.collect())
}

/// Returns the ids of all heads whose scores this head replaces, with [`UNSCORED`] first.
async fn replaced_heads(connection: &mut Connection, head: &HeadKey) -> sqlx::Result<Vec<i64>> {
    let older: Vec<i64> = sqlx::query_scalar(
        "SELECT id FROM heads WHERE NOT (bundle = $1 AND head = $2 AND version >= $3) ORDER BY id",
    )
    .bind(&head.bundle)
    .bind(&head.head)
    .bind(i64::from(head.version))
    .fetch_all(connection)
    .await?;
    Ok([UNSCORED].into_iter().chain(older).collect())
}

/// Stores scores, and returns the number of frames that were updated.
pub(super) async fn put_scores(
    connection: &mut Connection,
    head: &HeadKey,
    scores: &[NewScore],
) -> sqlx::Result<u64> {
    sqlx::query("INSERT INTO heads (bundle, head, version) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(&head.bundle)
        .bind(&head.head)
        .bind(i64::from(head.version))
        .execute(&mut *connection)
        .await?;
    let id = head_id(connection, head).await?.ok_or(sqlx::Error::RowNotFound)?;
    let runs = lock_runs(connection, scores).await?;
    let mut updated_count = 0;
    for score in scores {
        let updated = sqlx::query(
            "INSERT INTO scores (frame_id, head_id, score, quantile, label) \
             SELECT id, $1, $2, $3, $4 FROM frames WHERE id = $5 \
             ON CONFLICT (frame_id) DO UPDATE SET head_id = excluded.head_id, score = excluded.score, \
             quantile = excluded.quantile, label = excluded.label \
             WHERE scores.head_id NOT IN (SELECT id FROM heads WHERE bundle = $6 AND head = $7 AND version > $8)",
        )
        .bind(id)
        .bind(score.score)
        .bind(score.quantile)
        .bind(&score.label)
        .bind(score.id)
        .bind(&head.bundle)
        .bind(&head.head)
        .bind(i64::from(head.version))
        .execute(&mut *connection)
        .await?;
        updated_count += updated.rows_affected();
    }
    refresh_runs(connection, &runs).await?;
    Ok(updated_count)
}

/// Locks the runs of the frames, in the order of their ids, so that two servers do not wait for each other. Scores and
/// frames of a run change only while it is locked.
async fn lock_runs(connection: &mut Connection, scores: &[NewScore]) -> sqlx::Result<Vec<i64>> {
    let frames: Vec<_> = scores.iter().map(|score| [score.id]).collect();
    let select = format!(
        "SELECT (SELECT MAX(q.id) FROM runs AS q WHERE q.id <= CAST(r.value ->> 0 AS bigint)) FROM {JSON_ROWS} AS r"
    );
    let runs: Vec<Option<i64>> = sqlx::query_scalar(AssertSqlSafe(select))
        .bind(json!(frames).to_string())
        .fetch_all(&mut *connection)
        .await?;
    let runs: BTreeSet<_> = runs.into_iter().flatten().map(|id| [id]).collect();
    let lock = format!(
        "SELECT id FROM runs WHERE id IN (SELECT CAST(r.value ->> 0 AS bigint) FROM {JSON_ROWS} AS r) \
         ORDER BY id {ROW_LOCK}"
    );
    sqlx::query_scalar(AssertSqlSafe(lock)).bind(json!(runs).to_string()).fetch_all(connection).await
}

/// Updates which head has scored the frames of some runs.
pub(super) async fn refresh_runs(connection: &mut Connection, runs: &[i64]) -> sqlx::Result<()> {
    let ids: Vec<_> = runs.iter().map(|id| [id]).collect();
    let update = format!(
        "UPDATE runs SET scored_by = (SELECT CASE WHEN MIN(COALESCE(c.head_id, 0)) = 0 THEN {UNSCORED} \
         WHEN MIN(c.head_id) = MAX(c.head_id) THEN MIN(c.head_id) ELSE {MIXED} END \
         FROM frames AS f LEFT JOIN scores AS c ON c.frame_id = f.id \
         WHERE f.id >= runs.id AND f.id < runs.id + runs.length) \
         WHERE frames > 0 AND id IN (SELECT CAST(r.value ->> 0 AS bigint) FROM {JSON_ROWS} AS r)"
    );
    sqlx::query(AssertSqlSafe(update)).bind(json!(ids).to_string()).execute(connection).await.map(drop)
}

async fn head_id(connection: &mut Connection, head: &HeadKey) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar("SELECT id FROM heads WHERE bundle = $1 AND head = $2 AND version = $3")
        .bind(&head.bundle)
        .bind(&head.head)
        .bind(i64::from(head.version))
        .fetch_optional(connection)
        .await
}
