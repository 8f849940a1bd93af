/// Maximum number of bytes per decoded pixel: four samples of 16 bits.
const MAX_PIXEL_BYTES: u64 = 8;

/// Limits on what one input file, or one image of a stream, may contain. Readers check them before they allocate
/// memory, because a small file can declare or decompress to any amount of data.
///
/// The defaults bound the memory of an encoder to well under 1 GB, which is what a Raspberry Pi with 1 GB and the
/// shipped systemd unit allow. The worst case is an image of 40 megapixels in 16-bit RGBA: 320 MB decoded beside its file,
/// 240 MB more when its file is dropped and its transparency is removed, and about 280 MB while it is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputLimits {
    /// Maximum number of pixels per image; 40 megapixels by default, like the largest image that a server accepts
    /// by default.
    pub max_pixels: u64,
    /// The longest side of an image, in pixels; 32768 by default. Codecs pad the shorter side, so an image of one
    /// row would need far more memory than its pixels.
    pub max_side: u32,
    /// Maximum number of values per array or table; 2^26 by default, 256 MiB as `f32`.
    pub max_values: u64,
    /// Maximum number of inputs per file; 2^20 by default.
    pub max_inputs: u64,
    /// Maximum number of bytes per file, after decompression; 1 GiB by default.
    pub max_file_bytes: u64,
}

impl Default for InputLimits {
    fn default() -> Self {
        Self {
            max_pixels: 40_000_000,
            max_side: 1 << 15,
            max_values: 1 << 26,
            max_inputs: 1 << 20,
            max_file_bytes: 1 << 30,
        }
    }
}

impl InputLimits {
    /// Returns the maximum number of bytes of a decoded image.
    #[must_use]
    pub fn max_image_bytes(&self) -> u64 {
        self.max_pixels.saturating_mul(MAX_PIXEL_BYTES)
    }
}
