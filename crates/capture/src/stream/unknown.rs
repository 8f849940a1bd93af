//! Streams that are not images: what they are, and how they become images.

/// Advice for a stream that cannot be identified.
const UNKNOWN_FIX: &str = "configure its format, or use a program that writes one of these";
const VIDEO_FIX: &str = "it looks like a video file: decode it with a program in the command of the source, such as \
                         ffmpeg -i INPUT -f image2pipe -c:v mjpeg -q:v 2 -";
const TRANSPORT_FIX: &str = "it looks like an MPEG transport stream: decode it with a program in the command of the \
                             source, such as ffmpeg -i INPUT -f image2pipe -c:v mjpeg -q:v 2 -";
const H264_FIX: &str = "it looks like H.264 or H.265 video: decode it with a program in the command of the source, such \
                        as ffmpeg -i INPUT -f image2pipe -c:v mjpeg -q:v 2 -";
/// Length of a packet of an MPEG transport stream (ISO/IEC 13818-1).
const TRANSPORT_PACKET_BYTES: usize = 188;

/// Returns advice for a stream that begins with these bytes.
pub(crate) fn advice_for(first: &[u8]) -> &'static str {
    match first {
        // Start codes of Annex B.
        [0, 0, 1, ..] | [0, 0, 0, 1, ..] => H264_FIX,
        [0x47, ..] if first.get(TRANSPORT_PACKET_BYTES) == Some(&0x47) => TRANSPORT_FIX,
        // AVI, Matroska and WebM, FLV, MP4.
        [b'R', b'I', b'F', b'F', ..]
        | [0x1a, 0x45, 0xdf, 0xa3, ..]
        | [b'F', b'L', b'V', 1, ..]
        | [_, _, _, _, b'f', b't', b'y', b'p', ..] => VIDEO_FIX,
        _ => UNKNOWN_FIX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn video_is_named_with_the_program_that_decodes_it() {
        let mut transport = vec![0; 400];
        (transport[0], transport[TRANSPORT_PACKET_BYTES]) = (0x47, 0x47);
        for (first, expected) in [
            (&[0, 0, 0, 1, 0x67][..], "H.264"),
            (&[0, 0, 1, 9], "H.264"),
            (&transport, "transport stream"),
            (b"RIFF....AVI ", "video"),
            (b"\0\0\0\x20ftypisom", "video"),
        ] {
            let fix = advice_for(first);
            assert!(fix.contains(expected) && fix.contains("-f image2pipe"), "{fix}");
        }
        assert_eq!(advice_for(b"hello"), UNKNOWN_FIX);
        assert_eq!(advice_for(b""), UNKNOWN_FIX);
    }
}
