//! The chunks of a PNG file that say what its samples mean (PNG, third edition, clause 11.3).

const SIGNATURE_BYTES: usize = 8;

/// The meaning of the samples of a PNG file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PngChunks {
    /// Colour primaries, transfer function, matrix and full range (H.273).
    pub(super) cicp: Option<[u8; 4]>,
    /// Whether the file has a colour profile, valid or not.
    pub(super) has_profile: bool,
    /// Whether the file declares sRGB.
    pub(super) is_srgb: bool,
    /// The exponent of encoding, times 100,000.
    pub(super) gamma: Option<u32>,
    /// The chromaticities of white, red, green and blue, each x and y, times 100,000.
    pub(super) chromaticities: Option<[u32; 8]>,
    /// The largest number of significant bits of a colour.
    pub(super) significant_bits: Option<u8>,
    /// Whether the file is an animation.
    pub(super) is_animated: bool,
}

impl PngChunks {
    /// Reads the chunks before the first pixels. Damaged chunks are left to the decoder.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut chunks = Self::default();
        let mut rest = bytes.get(SIGNATURE_BYTES..).unwrap_or_default();
        while let Some((kind, data, behind)) = split_chunk(rest) {
            match kind {
                b"IDAT" => break,
                b"cICP" => chunks.cicp = data.first_chunk().copied(),
                b"iCCP" => chunks.has_profile = true,
                b"sRGB" => chunks.is_srgb = true,
                b"gAMA" => chunks.gamma = numbers::<1>(data).map(|[gamma]| gamma),
                b"cHRM" => chunks.chromaticities = numbers(data),
                b"sBIT" => chunks.significant_bits = colour_bits(data),
                b"acTL" => chunks.is_animated = true,
                _ => {}
            }
            rest = behind;
        }
        chunks
    }
}

fn split_chunk(bytes: &[u8]) -> Option<(&[u8; 4], &[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (kind, rest) = rest.split_first_chunk()?;
    let (data, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    Some((kind, data, rest.get(4..)?))
}

/// Returns the largest entry without that of alpha, which is the last of two or four.
fn colour_bits(data: &[u8]) -> Option<u8> {
    let colours = match data.len() {
        2 | 4 => data.len() - 1,
        length => length,
    };
    data[..colours].iter().copied().max()
}

fn numbers<const N: usize>(data: &[u8]) -> Option<[u32; N]> {
    let (values, _) = data.as_chunks::<4>();
    let values: Vec<u32> = values.iter().map(|value| u32::from_be_bytes(*value)).collect();
    values.try_into().ok()
}
