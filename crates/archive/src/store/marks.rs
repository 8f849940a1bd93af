//! What devices found out about the inputs of frames. Most frames do not have such a row.

use lopside_delivery::{FrameMarks, GeoPoint};
use serde_json::json;
use sqlx::{AssertSqlSafe, Row as _};

use super::{super::JSON_ROWS, Connection, NewRow, Row, read::damaged_value};

/// Stores what was found out about the inputs of new frames.
pub(super) async fn insert(connection: &mut Connection, rows: &[NewRow<'_>]) -> sqlx::Result<()> {
    let marked = rows.iter().filter(|row| !row.record.marks.is_empty()).map(|row| {
        let FrameMarks { is_damaged, location } = row.record.marks;
        let (latitude, longitude) =
            (location.map(GeoPoint::latitude_e7), location.map(GeoPoint::longitude_e7));
        (row.id, i64::from(is_damaged), latitude, longitude, location.and_then(GeoPoint::altitude_cm))
    });
    let marked: Vec<_> = marked.collect();
    if marked.is_empty() {
        return Ok(());
    }
    let insert = format!(
        "INSERT INTO marks (frame_id, damaged, latitude_e7, longitude_e7, altitude_cm) \
         SELECT CAST(r.value ->> 0 AS bigint), CAST(r.value ->> 1 AS bigint), CAST(r.value ->> 2 AS bigint), \
         CAST(r.value ->> 3 AS bigint), CAST(r.value ->> 4 AS bigint) FROM {JSON_ROWS} AS r"
    );
    sqlx::query(AssertSqlSafe(insert)).bind(json!(marked).to_string()).execute(connection).await.map(drop)
}

/// Deletes the marks of the frames in some ranges of ids, given as the text of a JSON list, and returns the ids of these
/// frames.
pub(super) async fn delete(connection: &mut Connection, ranges: &str) -> sqlx::Result<Vec<i64>> {
    let delete = format!(
        "DELETE FROM marks WHERE frame_id IN (SELECT m.frame_id FROM {JSON_ROWS} AS q CROSS JOIN marks AS m \
         WHERE m.frame_id >= CAST(q.value ->> 0 AS bigint) AND m.frame_id < CAST(q.value ->> 1 AS bigint)) \
         RETURNING frame_id"
    );
    sqlx::query_scalar(AssertSqlSafe(delete)).bind(ranges).fetch_all(connection).await
}

/// Returns SQL that selects frames by whether their inputs were damaged; nothing for all frames. `frame_id` is the SQL of
/// the id of a frame.
pub(super) fn damaged_filter(damaged: Option<bool>, frame_id: &str) -> String {
    let Some(damaged) = damaged else { return String::new() };
    let negation = if damaged { "" } else { "NOT " };
    format!("AND {negation}EXISTS (SELECT 1 FROM marks AS m WHERE m.frame_id = {frame_id} AND m.damaged = 1)")
}

/// Reads the marks of a frame from four columns, which are all NULL for a frame without marks.
pub(super) fn read_marks(row: &Row, column: usize) -> sqlx::Result<FrameMarks> {
    let [damaged, latitude, longitude, altitude] =
        [0, 1, 2, 3].map(|index| row.try_get::<Option<i64>, _>(column + index));
    let Some(damaged) = damaged? else { return Ok(FrameMarks::default()) };
    let location = match (latitude?, longitude?) {
        (Some(latitude), Some(longitude)) => Some(read_location(latitude, longitude, altitude?)?),
        _ => None,
    };
    Ok(FrameMarks { is_damaged: damaged != 0, location })
}

fn read_location(latitude: i64, longitude: i64, altitude: Option<i64>) -> sqlx::Result<GeoPoint> {
    let narrow = |value: i64| i32::try_from(value).map_err(|_| damaged_value("invalid place of capture"));
    let altitude = altitude.map(narrow).transpose()?;
    GeoPoint::from_units(narrow(latitude)?, narrow(longitude)?, altitude)
        .ok_or_else(|| damaged_value("invalid place of capture"))
}
