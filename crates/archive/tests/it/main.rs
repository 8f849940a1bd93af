//! The guarantees of an archive, with both backends.

// A test helper panics to fail its test.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use lopside_archive::{Archive, Batch, FrameMeta, FrameQuery, NewRecord, Settings};
use lopside_delivery::Class;

mod errors;
mod kill;
mod lists;
mod migrations;
mod model;
mod outages;
mod postgres;
mod replaced;
mod replays;
mod retention;
mod scores;
mod sharing;
mod sqlite_file;

/// Runs each case on its own database: with SQLite as a separate test, with PostgreSQL on one shared server.
macro_rules! on_both_backends {
    ($($file:ident: $($case:ident),+;)+) => {
        $($(
            #[tokio::test]
            async fn $case() {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("archive.db");
                $file::$case(&format!("sqlite:{}", path.display())).await;
            }
        )+)+

        #[tokio::test]
        async fn all_cases_hold_with_postgresql() {
            let server = postgres::Server::start();
            $($(
                println!(stringify!($case));
                $file::$case(&server.new_database()).await;
            )+)+
        }
    };
}

on_both_backends! {
    replays:
        a_batch_is_applied_once,
        new_records_of_an_overlapping_batch_are_applied,
        a_deleted_frame_is_not_applied_again,
        the_floor_settles_all_numbers_below_it,
        another_digest_under_the_same_name_is_counted,
        epochs_classes_and_devices_have_separate_numbers,
        known_numbers_are_the_union_of_all_epochs,
        known_numbers_belong_to_one_spool,
        a_batch_without_records_raises_the_floor,
        everything_is_there_after_closing_and_opening;
    lists:
        a_frame_comes_back_as_it_was_sent,
        pages_list_all_frames_newest_first,
        a_list_is_limited_to_a_device_and_a_time_range,
        few_and_many_frames_with_a_high_score_are_found,
        the_bytes_of_several_frames_are_read_together,
        later_frames_are_listed_in_order_of_arrival;
    scores:
        frames_are_unscored_until_this_version_has_scored_them,
        the_newest_score_is_kept,
        a_score_without_an_order_is_refused;
    retention:
        frames_over_the_maximum_age_are_deleted,
        the_oldest_frames_are_deleted_until_the_bytes_fit,
        frames_dated_1970_are_kept_as_long_as_others,
        frames_dated_9999_do_not_displace_those_of_another_device,
        devices_count_their_frames;
    migrations:
        frames_of_an_older_archive_expire_by_their_arrival;
    sharing:
        many_callers_share_commits,
        a_stream_with_too_many_gaps_is_refused_alone,
        two_servers_apply_each_record_once,
        only_the_newest_connection_of_a_device_applies_anything,
        subscribers_receive_the_committed_frames,
        a_slow_subscriber_learns_what_it_missed,
        a_closed_archive_returns_an_error;
}

/// Time before the first capture, in microseconds since 1970.
const START_US: i64 = 1_790_000_000_000_000;

async fn open(url: &str) -> Archive {
    Archive::open(url, Settings::default()).await.unwrap()
}

/// Returns the record with this number, captured this number of seconds after the start.
fn record(number: u64) -> NewRecord {
    NewRecord {
        captured_us: START_US + number as i64 * 1_000_000,
        source: "camera".into(),
        digest: number as u32 * 7,
        latent_space: *b"space-01",
        trace: None,
        frame: vec![number as u8; 10],
    }
}

/// Returns a batch of the records `first` to `last` of a device's epoch 1 and class `Normal`.
fn batch(device: &str, first: u64, last: u64) -> Batch {
    let records = (first..=last).map(record).collect();
    Batch { records, ..Batch::new(device, 1, Class::Normal, first) }
}

/// Returns all frames, the newest capture first.
async fn frames(archive: &Archive) -> Vec<FrameMeta> {
    let mut query = FrameQuery { limit: 1000, ..FrameQuery::default() };
    let mut frames = Vec::new();
    loop {
        let page = archive.list_frames(&query).await.unwrap();
        frames.extend(page.frames);
        query.after = page.next;
        if query.after.is_none() {
            return frames;
        }
    }
}

/// Returns the numbers of all frames in ascending order.
async fn numbers(archive: &Archive) -> Vec<u64> {
    let mut numbers: Vec<u64> = frames(archive).await.iter().map(|frame| frame.number).collect();
    numbers.sort_unstable();
    numbers
}
