use sqlx::{Pool, Row as _};

use super::{super::Db, Connection};
use crate::{HeadKey, LatentSpaceKey, NewScore, UnscoredFrame};

/// The value of `scored_by` for a frame without a score.
const UNSCORED: i64 = 0;

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
            let remaining = i64::from(limit) - frames.len() as i64;
            let rows = sqlx::query(
                "SELECT id, frame FROM frames WHERE latent_space = $1 AND scored_by = $2 ORDER BY id LIMIT $3",
            )
            .bind(i64::from_be_bytes(*space))
            .bind(scored_by)
            .bind(remaining)
            .fetch_all(&mut *connection)
            .await?;
            for row in &rows {
                frames.push(UnscoredFrame {
                    id: row.try_get(0)?,
                    latent_space: *space,
                    frame: row.try_get(1)?,
                });
            }
        }
    }
    Ok(frames)
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
    // Sorted, so that two servers do not wait for each other.
    let mut scores: Vec<&NewScore> = scores.iter().collect();
    scores.sort_by_key(|score| score.id);
    let mut updated_count = 0;
    for score in scores {
        let updated = sqlx::query(
            "UPDATE frames SET scored_by = $1, score = $2, quantile = $3, label = $4 WHERE id = $5 \
             AND scored_by NOT IN (SELECT id FROM heads WHERE bundle = $6 AND head = $7 AND version > $8)",
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
    Ok(updated_count)
}

async fn head_id(connection: &mut Connection, head: &HeadKey) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar("SELECT id FROM heads WHERE bundle = $1 AND head = $2 AND version = $3")
        .bind(&head.bundle)
        .bind(&head.head)
        .bind(i64::from(head.version))
        .fetch_optional(connection)
        .await
}
