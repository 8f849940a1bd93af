use sqlx::{AssertSqlSafe, Pool, Row as _};

use super::{
    super::{BEGIN_SNAPSHOT, Db, ROW_LOCK},
    Connection, Row,
    read::read_unsigned,
};
use crate::{
    AuditEntry, AuditEvent, AuditReport,
    audit::{AuditHash, AuditHead, ChainCheck},
};

/// Rows that a check reads at once.
const ROWS_PER_READ: i64 = 1000;

/// The columns that [`read_entry`] reads.
const COLUMNS: &str = "number, time_us, actor, certificate, peer, request_id, action, subject, outcome, hash";

/// Adds a row to the chain in the open transaction.
pub(super) async fn append(
    connection: &mut Connection,
    event: &AuditEvent,
    now_us: i64,
) -> sqlx::Result<AuditEntry> {
    let select = format!("SELECT number, hash FROM audit_head WHERE id = 1 {ROW_LOCK}");
    let head = sqlx::query(AssertSqlSafe(select)).fetch_one(&mut *connection).await?;
    let entry = AuditEntry::after(&read_head(&head)?, event, now_us);
    let insert = format!("INSERT INTO audit ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)");
    let AuditEvent { actor, certificate, peer, request_id, action, subject, outcome } = &entry.event;
    sqlx::query(AssertSqlSafe(insert))
        .bind(entry.number.cast_signed())
        .bind(entry.time_us)
        .bind(actor)
        .bind(certificate)
        .bind(peer)
        .bind(request_id)
        .bind(action)
        .bind(subject)
        .bind(outcome)
        .bind(&entry.hash[..])
        .execute(&mut *connection)
        .await?;
    sqlx::query("UPDATE audit_head SET number = $1, hash = $2 WHERE id = 1")
        .bind(entry.number.cast_signed())
        .bind(&entry.hash[..])
        .execute(connection)
        .await?;
    Ok(entry)
}

/// Returns the newest rows before a number.
pub(super) async fn list(readers: &Pool<Db>, before: i64, limit: i64) -> sqlx::Result<Vec<AuditEntry>> {
    let select = format!("SELECT {COLUMNS} FROM audit WHERE number < $1 ORDER BY number DESC LIMIT $2");
    let rows = sqlx::query(AssertSqlSafe(select)).bind(before).bind(limit).fetch_all(readers).await?;
    rows.iter().map(read_entry).collect()
}

/// Checks the whole chain, as it is at the start of the check.
pub(super) async fn verify(connection: &mut Connection) -> sqlx::Result<AuditReport> {
    sqlx::query(BEGIN_SNAPSHOT).execute(&mut *connection).await?;
    let head = sqlx::query("SELECT number, hash FROM audit_head WHERE id = 1")
        .fetch_optional(&mut *connection)
        .await?;
    let head = head.as_ref().map(read_head).transpose()?.unwrap_or_default();
    let select = format!("SELECT {COLUMNS} FROM audit WHERE number > $1 ORDER BY number LIMIT $2");
    let (mut check, mut last) = (ChainCheck::default(), i64::MIN);
    loop {
        let rows = sqlx::query(AssertSqlSafe(select.clone()))
            .bind(last)
            .bind(ROWS_PER_READ)
            .fetch_all(&mut *connection)
            .await?;
        if rows.is_empty() {
            return Ok(check.finish(&head));
        }
        for row in &rows {
            let entry = read_entry(row)?;
            last = entry.number.cast_signed();
            if !check.check(&entry) {
                return Ok(check.finish(&head));
            }
        }
    }
}

fn read_head(row: &Row) -> sqlx::Result<AuditHead> {
    Ok(AuditHead { number: read_unsigned(row, 0)?, hash: read_hash(row, 1)? })
}

fn read_entry(row: &Row) -> sqlx::Result<AuditEntry> {
    Ok(AuditEntry {
        number: read_unsigned(row, 0)?,
        time_us: row.try_get(1)?,
        event: AuditEvent {
            actor: row.try_get(2)?,
            certificate: row.try_get(3)?,
            peer: row.try_get(4)?,
            request_id: row.try_get(5)?,
            action: row.try_get(6)?,
            subject: row.try_get(7)?,
            outcome: row.try_get(8)?,
        },
        hash: read_hash(row, 9)?,
    })
}

/// Reads a hash. One of another length fits no row, like one of zeros.
fn read_hash(row: &Row, column: usize) -> sqlx::Result<AuditHash> {
    let hash: &[u8] = row.try_get(column)?;
    Ok(hash.try_into().unwrap_or_default())
}
