//! The form of tables that a bundle declares.

use std::fs;

use super::bundles::draft;
use lopside_bundle::{
    BundlePart, ColumnRef, FixedLatentBundle, FixedLatentDraft, InputSpec, TableSpec, TimeFormat,
    TimeSeriesSpec, TimeZone, put_table,
};
use tempfile::TempDir;

/// Returns a draft whose inputs are windows of two rows of two channels.
fn series_draft() -> FixedLatentDraft {
    let series = TimeSeriesSpec {
        length: 2,
        stride: 1,
        channels: vec!["volts".into(), "amperes".into()],
        mean: vec![0.0; 2],
        deviation: vec![1.0; 2],
    };
    FixedLatentDraft { input: InputSpec::Series(series), ..draft() }
}

fn written(draft: &FixedLatentDraft) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    draft.write(folder.path(), "# Toy\n").unwrap();
    folder
}

fn table() -> TableSpec {
    TableSpec {
        columns: Some(vec![ColumnRef::Name("U [V]".into()), ColumnRef::Number(3)]),
        time: Some(vec![ColumnRef::Name("Date".into())]),
        time_format: Some(TimeFormat::Dmy),
        max_gap_seconds: Some(2.5),
        missing: Some(vec!["-9999".into()]),
        ..TableSpec::default()
    }
}

fn utc() -> TimeZone {
    TimeZone::try_from("UTC".to_owned()).unwrap()
}

#[test]
fn a_bundle_declares_the_form_of_its_tables_without_a_change_of_its_latent_space() {
    let folder = written(&series_draft());
    let path = folder.path().join("bundle.json");
    let (text, before) = (
        fs::read_to_string(&path).unwrap(),
        FixedLatentBundle::load(folder.path(), BundlePart::Whole).unwrap(),
    );
    // Bundles without the declaration are written and read as before.
    assert!(!text.contains("\"table\"") && before.manifest.table.is_none());
    put_table(folder.path(), Some(table())).unwrap();
    let after = FixedLatentBundle::load(folder.path(), BundlePart::Whole).unwrap();
    assert_eq!(after.manifest.table, Some(table()));
    assert_eq!(after.manifest.latent_space, before.manifest.latent_space);
    put_table(folder.path(), None).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn each_defect_of_the_form_of_a_table_is_named() {
    let folder = written(&series_draft());
    for (table, expected) in [
        (TableSpec { columns: Some(vec![ColumnRef::Number(1)]), ..table() }, "columns must have 2 entries"),
        (TableSpec { max_gap_seconds: None, ..table() }, "time needs max_gap_seconds"),
        (TableSpec { max_gap_seconds: Some(-1.0), ..table() }, "positive and finite"),
        (TableSpec { time: Some(vec![ColumnRef::Number(0)]), ..table() }, "counted from 1"),
        (TableSpec { time: Some(vec![ColumnRef::Number(1); 3]), ..table() }, "at most 2 entries"),
        (TableSpec { missing: Some(vec![String::new(); 65]), ..table() }, "at most 64 entries"),
        (TableSpec { time_zone: Some(utc()), ..TableSpec::default() }, "time_zone needs time"),
    ] {
        let error = put_table(folder.path(), Some(table)).unwrap_err().to_string();
        assert!(error.contains("table") && error.contains(expected), "{expected}: {error}");
    }
    let pictures = written(&draft());
    let error = put_table(pictures.path(), Some(TableSpec::default())).unwrap_err().to_string();
    assert!(error.contains("windows of a time series"), "{error}");
}

#[test]
fn the_keys_of_a_device_take_precedence_over_those_of_a_bundle() {
    let time_zone = Some(utc());
    let device =
        TableSpec { time: Some(Vec::new()), max_held_rows: Some(1), time_zone, ..TableSpec::default() };
    let merged = device.merged_over(&table());
    assert_eq!(merged, TableSpec { time: Some(Vec::new()), max_held_rows: Some(1), time_zone, ..table() });
    assert!(merged.time_columns().is_empty());
}
