use crate::block::HEADER_BYTES;

/// Makes the checksums of the blocks in `buffer` match their bytes.
pub(super) fn forge_checksums(file: &[u8], offset: u64, buffer: &mut [u8]) {
    for index in (0..buffer.len()).step_by(8) {
        let Some(header) =
            buffer.get_mut(index..index + HEADER_BYTES).filter(|header| header.starts_with(b"LSpB"))
        else {
            continue;
        };
        let body = u32::from_le_bytes([header[12], header[13], header[14], header[15]]) as usize;
        let start = offset as usize + index + HEADER_BYTES;
        let Some(body) = file.get(start..start + body) else { continue };
        header[8..12].copy_from_slice(&crc32c::crc32c(body).to_le_bytes());
        let header_checksum = crc32c::crc32c(&header[8..]);
        header[4..8].copy_from_slice(&header_checksum.to_le_bytes());
    }
}
