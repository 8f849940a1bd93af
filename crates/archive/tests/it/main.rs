//! The guarantees of an archive, with both backends.

// A test helper panics to fail its test.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::ops::RangeInclusive;

use lopside_archive::{Archive, Batch, FrameMeta, FrameQuery, KnownNumbers, NewRecord, Settings};
use lopside_delivery::{Class, FrameMarks};

mod audit;
mod clocks;
mod connections;
mod device_lists;
mod disk;
mod epochs;
mod errors;
mod kill;
mod lists;
mod losses;
mod marks;
mod migrations;
mod model;
mod outages;
mod postgres;
mod refusals;
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
        epochs_classes_and_devices_have_separate_numbers,
        a_batch_without_records_raises_the_floor,
        everything_is_there_after_closing_and_opening;
    epochs:
        known_numbers_are_separate_for_each_epoch,
        known_numbers_belong_to_one_spool,
        a_spool_that_was_set_back_loses_nothing,
        a_device_may_leave_an_epoch_but_not_return_to_it,
        epochs_that_arrive_in_the_wrong_order_do_not_alternate,
        a_renamed_spool_sends_the_same_records_again;
    refusals:
        another_digest_under_the_same_name_is_refused,
        two_batches_of_one_commit_do_not_contradict_each_other,
        a_floor_that_cannot_be_true_is_refused,
        a_floor_does_not_settle_the_records_that_it_comes_with,
        a_refused_batch_leaves_no_device_behind;
    connections:
        only_the_newest_connection_of_a_device_applies_anything,
        many_connections_are_registered_together,
        displaced_connections_are_counted;
    losses:
        numbers_that_were_acknowledged_and_are_unknown_are_lost,
        lost_numbers_are_reported_until_they_come_again,
        a_device_that_claims_the_largest_numbers_is_listed;
    lists:
        a_frame_comes_back_as_it_was_sent,
        pages_list_all_frames_newest_first,
        a_list_is_limited_to_a_device_and_a_time_range,
        few_and_many_frames_with_a_high_score_are_found,
        the_bytes_of_several_frames_are_read_together,
        later_frames_are_listed_in_order_of_arrival,
        a_list_of_no_later_frames_counts_all_of_them,
        devices_are_listed_in_pages,
        the_summary_has_the_sums_over_all_devices;
    marks:
        marks_come_back_as_they_were_sent,
        few_and_many_damaged_frames_are_found,
        marks_are_counted_and_deleted_with_their_frames;
    audit:
        audit_entries_come_back_in_pages_as_they_were_added,
        two_servers_add_to_one_chain,
        a_row_of_the_audit_log_cannot_be_changed,
        changed_rows_of_the_audit_log_are_named,
        a_row_that_was_added_past_the_server_is_named,
        an_audit_text_that_the_database_cannot_store_is_stored_in_part;
    scores:
        frames_are_unscored_until_this_version_has_scored_them,
        the_newest_score_is_kept,
        a_score_without_an_order_is_refused;
    retention:
        frames_over_the_maximum_age_are_deleted,
        a_device_over_its_quota_of_frames_loses_those_that_arrived_first,
        a_device_over_its_quota_of_bytes_loses_frames_alone,
        a_device_that_floods_the_archive_does_not_displace_others,
        deletions_are_reported_by_reason,
        frames_dated_1970_are_kept_as_long_as_others,
        frames_dated_9999_do_not_displace_those_of_another_device,
        single_frames_of_a_run_are_deleted,
        nothing_is_counted_after_everything_was_deleted,
        devices_count_their_frames;
    clocks:
        times_of_capture_are_corrected_by_the_offset,
        impossible_times_are_listed_by_the_arrival,
        times_with_microseconds_come_back,
        a_device_shows_the_clock_of_its_last_connection;
    device_lists:
        pages_of_a_device_merge_its_classes;
    migrations:
        frames_of_an_older_archive_expire_by_their_arrival,
        streams_of_an_older_archive_keep_their_spool_and_epoch,
        frames_of_an_older_archive_become_runs;
    sharing:
        many_callers_share_commits,
        a_stream_with_too_many_gaps_is_refused_alone,
        two_servers_apply_each_record_once,
        subscribers_receive_the_committed_frames,
        a_slow_subscriber_learns_what_it_missed,
        a_closed_archive_returns_an_error;
}

/// Time before the first capture, in microseconds since 1970. It is in the past, so captures after it are possible.
const START_US: i64 = 1_700_000_000_000_000;

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
        marks: FrameMarks::default(),
        frame: vec![number as u8; 10].into(),
    }
}

/// Returns a batch of the records `first` to `last` of a device's epoch 1 and class `Normal`.
fn batch(device: &str, first: u64, last: u64) -> Batch {
    let records = (first..=last).map(record).collect();
    Batch { records, ..Batch::new(device, 1, Class::Normal, first) }
}

/// Returns what is known of a device's class `Normal` of a spool from a number on: for each epoch, its ranges.
async fn known(
    archive: &Archive,
    device: &str,
    spool: u32,
    from: u64,
) -> Vec<(u64, Vec<RangeInclusive<u64>>)> {
    let known = archive.known_numbers(device, spool, &[(Class::Normal, from)]).await.unwrap();
    known.into_iter().map(|KnownNumbers { epoch, ranges, .. }| (epoch, ranges)).collect()
}

/// Returns all frames, the newest capture first.
async fn frames(archive: &Archive) -> Vec<FrameMeta> {
    frames_of(archive, FrameQuery { limit: 1000, ..FrameQuery::default() }).await
}

/// Returns the frames of all pages of a query.
async fn frames_of(archive: &Archive, mut query: FrameQuery) -> Vec<FrameMeta> {
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
