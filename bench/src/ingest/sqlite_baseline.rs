use std::{path::Path, time::Instant};

use rusqlite::Connection;

use super::device::DeviceLoad;
use crate::{BenchError, error::store_error};

/// Returns the frames per second that one connection inserts into a plain table, with one transaction per
/// message.
pub(super) fn frames_per_second(path: &Path, load: DeviceLoad) -> Result<f64, BenchError> {
    let mut connection = Connection::open(path).map_err(store_error("SQLite"))?;
    let schema = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
        CREATE TABLE frames(device INTEGER, epoch INTEGER, number INTEGER, captured INTEGER, digest INTEGER, frame BLOB,
            UNIQUE(device, epoch, number));
        CREATE INDEX by_time ON frames(captured)";
    connection.execute_batch(schema).map_err(store_error("SQLite"))?;
    let frame: Vec<u8> = (0..load.frame_bytes).map(|_| rand::random()).collect();
    let start = Instant::now();
    for message in 0..load.messages {
        let transaction = connection.transaction().map_err(store_error("SQLite"))?;
        for index in 0..load.frames_per_message {
            let number = (message * load.frames_per_message + index) as i64;
            let insert = "INSERT INTO frames VALUES (1, 1, ?1, ?1, ?2, ?3)";
            let mut insert = transaction.prepare_cached(insert).map_err(store_error("SQLite"))?;
            insert.execute((number, crc32c::crc32c(&frame), &frame)).map_err(store_error("SQLite"))?;
        }
        transaction.commit().map_err(store_error("SQLite"))?;
    }
    Ok((load.messages * load.frames_per_message) as f64 / start.elapsed().as_secs_f64())
}
