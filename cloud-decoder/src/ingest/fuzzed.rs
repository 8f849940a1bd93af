use lopside_archive::DeviceClock;
use lopside_delivery::{Class, MAX_REPORTED_SOURCES};
use lopside_proto::v1::{Frames, Hello, SourceReports, UploadRequest, upload_request::Message};

use super::{
    hello::DeviceHello,
    source_reports::parse_report,
    unpack::{UploadSender, unpack_batch},
};

/// Reads a message of a device, and checks the result if it is accepted.
pub(crate) fn read_message(request: UploadRequest) {
    match request.message {
        Some(Message::Hello(hello)) => read_hello(hello),
        Some(Message::Frames(frames)) => read_frames(frames),
        Some(Message::SourceReports(reports)) => read_reports(reports),
        None => {}
    }
}

fn read_hello(hello: Hello) {
    let lane_count = hello.lanes.len();
    if let Ok(hello) = DeviceHello::parse(hello, 0) {
        let unsettled = hello.unsettled();
        assert!(unsettled.len() == lane_count && lane_count <= Class::ALL.len(), "{unsettled:?}");
    }
}

fn read_reports(reports: SourceReports) {
    let count = reports.sources.len();
    if let Ok(report) = parse_report(reports, 0) {
        assert!(report.sources.len() == count && count <= MAX_REPORTED_SOURCES, "{report:?}");
    }
}

fn read_frames(frames: Frames) {
    let (count, bytes) = (frames.lengths.len(), frames.frames.len());
    let sender =
        UploadSender { device: "fuzz".into(), connection_number: 1, spool: 1, clock: DeviceClock::default() };
    if let Ok(batch) = unpack_batch(&sender, frames) {
        assert_eq!(batch.records.len(), count);
        assert_eq!(batch.records.iter().map(|record| record.frame.len()).sum::<usize>(), bytes);
        assert!(batch.records.iter().all(|record| record.source.len() <= 128));
    }
}
