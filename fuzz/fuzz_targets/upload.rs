//! Arbitrary bytes as a message of a device: a hello, frames, or a report about sources.

#![no_main]

use cloud_decoder::fuzzing::read_upload;
use lopside_fuzz::fuzz_target;
use lopside_proto::v1::{
    Frames, Hello, SourceReports, UploadRequest, upload_request::Message as UploadMessage,
};
use prost::Message as _;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = UploadRequest::decode(bytes) {
        read_upload(request);
    }
    if let Ok(hello) = Hello::decode(bytes) {
        read_upload(UploadRequest { message: Some(UploadMessage::Hello(hello)) });
    }
    if let Ok(reports) = SourceReports::decode(bytes) {
        read_upload(UploadRequest { message: Some(UploadMessage::SourceReports(reports)) });
    }
    if let Ok(mut frames) = Frames::decode(bytes) {
        read_upload(UploadRequest { message: Some(UploadMessage::Frames(frames.clone())) });
        // Arbitrary bytes hardly ever have columns of the same length and the right digests.
        complete(&mut frames);
        read_upload(UploadRequest { message: Some(UploadMessage::Frames(frames)) });
    }
});

/// Makes the columns of a message agree with its bytes.
fn complete(frames: &mut Frames) {
    let mut rest = &frames.frames[..];
    frames.lengths.iter_mut().for_each(|length| *length %= 8);
    let lengths = frames.lengths.iter().map(|&length| length as usize);
    frames.digests = lengths
        .map_while(|length| {
            let (frame, tail) = rest.split_at_checked(length)?;
            rest = tail;
            Some(crc32c::crc32c(frame))
        })
        .collect();
    let (count, left) = (frames.digests.len(), rest.len());
    frames.lengths.truncate(count);
    frames.frames.truncate(frames.frames.len() - left);
    frames.elapsed_ms.resize(count.saturating_sub(1), 1000);
}
