//! Devices whose clocks are decades off. What is deleted depends on the arrival of frames, not on such a clock.

use std::{
    slice,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{device_double::DeviceDouble, harness::Site, pictures::frames};

/// One minute after 1970 began: a device without a battery for its clock, before a time server has answered.
const FIRST_MINUTE_MS: i64 = 60_000;
/// The last hour of the year 9999.
const YEAR_9999_MS: i64 = 253_402_297_200_000;

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_1970_and_9999_are_kept_and_do_not_displace_others() {
    let site = Site::new();
    let cloud = site.start();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now_ms = i64::try_from(now.as_millis()).unwrap();
    // Two megabytes arrive first. They are deleted first, whatever the clocks say.
    let large_frame = vec![7; 100_000];
    let mut bulk = DeviceDouble::connect(site.endpoint(), "bulk", now_ms).await;
    for _ in 0..20 {
        bulk.send(now_ms, slice::from_ref(&large_frame)).await;
    }
    let devices = [("just-booted", FIRST_MINUTE_MS), ("far-future", YEAR_9999_MS), ("gate-7", now_ms)];
    for (index, (device, clock_ms)) in devices.into_iter().enumerate() {
        let mut double = DeviceDouble::connect(site.endpoint(), device, clock_ms).await;
        double.send(clock_ms, &frames()[5 * index..5 * index + 5]).await;
    }
    drop(bulk);
    cloud.stop();

    // The sweep runs at the start, and is logged when it has deleted something.
    let cloud = site.start_with(&["--archive-days=1", "--archive-megabytes=1"]);
    site.log.until_line(&["frames over the limits of the archive deleted"]).await;
    cloud.stop();
    let archived = site.archived().await;
    for (index, (device, _)) in devices.into_iter().enumerate() {
        archived.check_images(device, 5 * index..5 * index + 5);
        assert_eq!(archived.device(device).applied, 5, "{device}");
    }
    let bulk = archived.device("bulk");
    assert!(bulk.applied == 20 && bulk.frames < 20, "{bulk:?}");
    for device in ["just-booted", "far-future"] {
        assert!(site.log.has_line(&[device, "clock"]), "the log does not name the clock of {device}");
    }
}
