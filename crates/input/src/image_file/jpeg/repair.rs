//! Rewrites a JPEG file for decoders that require what the file leaves out: Huffman tables, the height in the frame
//! header, the end of image.

use super::{
    frame::Frame,
    huffman::standard_tables,
    layout::{
        DEFINE_HUFFMAN_TABLES, DEFINE_NUMBER_OF_LINES, END_OF_IMAGE, JpegLayout, MAX_PAYLOAD, START_OF_IMAGE,
    },
};

/// Returns the file with its segments alone, with the height of `frame` and an end; with the standard Huffman tables on
/// request.
pub(super) fn rewrite(layout: &JpegLayout<'_>, frame: &Frame, adds_tables: bool) -> Vec<u8> {
    let mut bytes = vec![0xff, START_OF_IMAGE];
    if adds_tables {
        push_segment(&mut bytes, DEFINE_HUFFMAN_TABLES, &standard_tables());
    }
    for segment in &layout.segments {
        match (segment.marker, segment.payload) {
            (DEFINE_NUMBER_OF_LINES, _) => {}
            (0xc0..=0xc2, [precision, _, _, rest @ ..]) => {
                let [high, low] = (frame.height as u16).to_be_bytes();
                let payload = [&[*precision, high, low][..], rest].concat();
                push_segment(&mut bytes, segment.marker, &payload);
            }
            (marker, payload) => push_segment(&mut bytes, marker, payload),
        }
        bytes.extend_from_slice(segment.data);
    }
    bytes.extend([0xff, END_OF_IMAGE]);
    bytes
}

/// Returns whether a file must be rewritten to be decoded.
pub(super) fn needs_rewrite(layout: &JpegLayout<'_>, lacks_tables: bool) -> bool {
    let has_number_of_lines = layout.segments.iter().any(|segment| segment.marker == DEFINE_NUMBER_OF_LINES);
    lacks_tables || has_number_of_lines || !layout.has_end
}

fn push_segment(bytes: &mut Vec<u8>, marker: u8, payload: &[u8]) {
    // Payloads come from segments, or are short.
    let length = payload.len().min(MAX_PAYLOAD);
    bytes.extend([0xff, marker]);
    bytes.extend((length as u16 + 2).to_be_bytes());
    bytes.extend_from_slice(&payload[..length]);
}
