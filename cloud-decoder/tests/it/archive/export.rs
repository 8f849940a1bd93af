//! Exports of all matching frames as one file.

use axum::body::Bytes;
use lopside_archive::{HeadKey, NewScore};
use lopside_delivery::{FrameMarks, GeoPoint};
use parquet::{
    file::{
        metadata::RowGroupMetaData,
        reader::{FileReader as _, SerializedFileReader},
    },
    record::RowAccessor as _,
};
use serde_json::Value;

use super::{
    bundle::{self, frame},
    support::{Cloud, EPOCH, START_US},
};

/// More frames than a group of the export and than several pages of the list.
const FRAMES: u64 = 9000;

fn lines(body: &[u8]) -> Vec<Value> {
    body.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

#[tokio::test]
async fn ndjson_contains_all_matching_frames_with_their_bytes() {
    let cloud = Cloud::start().await;
    let empty = cloud.get("/v1/export").await;
    assert_eq!((empty.status.as_u16(), empty.body.len()), (200, 0));
    cloud.commit("gate", 1, vec![frame([0.1; 4]); FRAMES as usize]).await;
    cloud.commit("door", 1, vec![frame([0.2; 4]); 3]).await;
    let response = cloud.get("/v1/export?device=gate").await;
    assert_eq!(response.header("content-type"), "application/x-ndjson");
    assert!(response.header("content-disposition").contains("frames.ndjson"));
    let numbers: Vec<u64> =
        lines(&response.body).iter().map(|line| line["number"].as_u64().unwrap()).collect();
    assert!(numbers.iter().copied().eq((1..=FRAMES).rev()));

    let door = cloud.get("/v1/export?device=door&to=2026-07-01T12:00:03Z&format=ndjson").await;
    let door = lines(&door.body);
    assert_eq!(door.len(), 2);
    for line in door {
        let id = line["id"].as_i64().unwrap();
        assert_eq!(line, cloud.get(&format!("/v1/frames/{id}")).await.json());
    }
}

#[tokio::test]
async fn parquet_has_typed_columns_and_groups_of_bounded_size() {
    let cloud = Cloud::start().await;
    cloud.commit("gate", 1, vec![frame([0.1; 4]); FRAMES as usize - 1]).await;
    let location = GeoPoint::from_degrees(-33.8, 151.2, Some(-4.5));
    let marks = FrameMarks { is_damaged: true, location };
    cloud.commit_marked("gate", FRAMES, vec![frame([0.1; 4])], marks).await;
    let id = cloud.ids().await[0];
    let head = HeadKey { bundle: "toy".into(), head: "score".into(), version: 3 };
    let score = NewScore { id, score: Some(2.5), quantile: Some(0.5), label: Some("dark".into()) };
    cloud.archive().put_scores(&head, &[score]).await.unwrap();
    let response = cloud.get("/v1/export?format=parquet").await;
    assert_eq!(response.header("content-type"), "application/vnd.apache.parquet");
    let file = SerializedFileReader::new(Bytes::from(response.body)).unwrap();
    let groups: Vec<i64> = file.metadata().row_groups().iter().map(RowGroupMetaData::num_rows).collect();
    assert_eq!(groups, [8192, FRAMES as i64 - 8192]);
    let rows: Vec<_> = file.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len() as u64, FRAMES);
    for (row, number) in rows.iter().zip((1..=FRAMES).rev()) {
        assert_eq!(row.get_long(4).unwrap() as u64, number);
        assert_eq!(row.get_bytes(22).unwrap().data(), frame([0.1; 4]));
    }
    let first = &rows[0];
    assert_eq!((first.get_long(0).unwrap(), first.get_string(1).unwrap().as_str()), (id, "gate"));
    assert_eq!((first.get_ulong(2).unwrap(), first.get_string(3).unwrap().as_str()), (EPOCH, "high"));
    let captured_us = START_US + FRAMES as i64 * 1_000_000;
    assert_eq!(first.get_timestamp_micros(5).unwrap(), captured_us);
    assert_eq!(first.get_timestamp_micros(6).unwrap(), captured_us, "corrected");
    assert_eq!(first.get_string(7).unwrap(), "unknown", "the clock");
    assert_eq!(*first.get_string(10).unwrap(), bundle::space().to_string());
    assert_eq!((first.get_double(12).unwrap(), first.get_double(13).unwrap()), (2.5, 0.5));
    let texts = [14, 15, 16].map(|column| first.get_string(column).unwrap().as_str());
    assert_eq!((texts, first.get_uint(17).unwrap()), (["dark", "toy", "score"], 3));
    let column = |index: usize| rows[1].get_column_iter().nth(index).unwrap().1.to_string();
    assert_eq!((column(12), column(14)), ("null".into(), "null".into()));
    assert_eq!((first.get_bool(18).unwrap(), column(18)), (true, "false".into()));
    assert_eq!((first.get_double(19).unwrap(), first.get_double(20).unwrap()), (-33.8, 151.2));
    assert_eq!((first.get_double(21).unwrap(), column(19)), (-4.5, "null".into()));
}

#[tokio::test]
async fn an_empty_parquet_file_has_its_columns() {
    let cloud = Cloud::start().await;
    let response = cloud.get("/v1/export?format=parquet").await;
    let file = SerializedFileReader::new(Bytes::from(response.body)).unwrap();
    let metadata = file.metadata().file_metadata();
    assert_eq!((metadata.num_rows(), metadata.schema_descr().num_columns()), (0, 23));
}
