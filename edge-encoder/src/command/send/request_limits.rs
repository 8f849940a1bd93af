//! The limits of a request: the pixels that the server decodes, and the time that they take.

use std::time::Duration;

/// Time per megapixel for a server that does not state its speed, in seconds: twice what two cores of a server
/// without a GPU take.
const SECONDS_PER_MEGAPIXEL: f64 = 3.0;
/// A server with other work may take this many times as long as it states.
const TIME_RESERVE: f64 = 4.0;
/// The longest time limit that follows from pixels.
const MAX_TIME_LIMIT: Duration = Duration::from_hours(1);
const PIXELS_PER_MEGAPIXEL: f64 = 1e6;
/// The largest answer apart from images, in bytes.
const MAX_RESPONSE_BYTES: usize = 64 << 20;
/// Bytes of an answer per pixel of the frame's image: three samples of an image of twice its size, which a PNG file may
/// hold without compression.
const RESPONSE_BYTES_PER_PIXEL: usize = 16;

/// The size of an image in pixels.
pub(super) type ImageSize = (u32, u32);

/// The figures that a server states about a bundle.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct ServerFigures {
    /// The largest image that it decodes, in pixels; 0 if it is not stated.
    pub(super) max_pixels: u64,
    /// Time per megapixel in seconds; 0 if it is not stated.
    pub(super) seconds_per_megapixel: f64,
}

/// The limits of the requests of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestLimits {
    /// Time limit apart from the pixels.
    pub(super) timeout: Duration,
    /// Whether the time limit was configured, and does not grow with the pixels.
    pub(super) is_fixed: bool,
    pub(super) server: ServerFigures,
}

impl RequestLimits {
    /// Returns the largest image that the server decodes, in pixels; no limit if the server does not state one.
    pub(super) fn max_pixels(&self) -> u64 {
        if self.server.max_pixels == 0 { u64::MAX } else { self.server.max_pixels }
    }

    /// Returns the time limit of a request for an image of this size; `None` for another input.
    pub(super) fn time_limit(&self, size: Option<ImageSize>) -> Duration {
        let Some(size) = size.filter(|_| !self.is_fixed) else { return self.timeout };
        let per_megapixel = SECONDS_PER_MEGAPIXEL.max(TIME_RESERVE * self.server.seconds_per_megapixel);
        let more = Duration::try_from_secs_f64(per_megapixel * megapixels(size)).unwrap_or(MAX_TIME_LIMIT);
        self.timeout.saturating_add(more).min(MAX_TIME_LIMIT.max(self.timeout))
    }

    /// Returns the time that the server states for an image of this size; `None` if it does not state its speed.
    pub(super) fn predicted_seconds(&self, size: ImageSize) -> Option<f64> {
        let per_megapixel = Some(self.server.seconds_per_megapixel).filter(|seconds| *seconds > 0.0);
        per_megapixel.map(|seconds| seconds * megapixels(size))
    }

    /// Returns the largest answer that is accepted for an image of this size, in bytes.
    pub(super) fn max_response_bytes(size: Option<ImageSize>) -> usize {
        let pixels = size.map_or(0, |(width, height)| (width as usize).saturating_mul(height as usize));
        pixels.saturating_mul(RESPONSE_BYTES_PER_PIXEL).saturating_add(MAX_RESPONSE_BYTES)
    }
}

/// Returns the number of megapixels of an image.
pub(super) fn megapixels((width, height): ImageSize) -> f64 {
    f64::from(width) * f64::from(height) / PIXELS_PER_MEGAPIXEL
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(is_fixed: bool, max_pixels: u64, seconds_per_megapixel: f64) -> RequestLimits {
        let server = ServerFigures { max_pixels, seconds_per_megapixel };
        RequestLimits { timeout: Duration::from_secs(10), is_fixed, server }
    }

    #[test]
    fn the_default_time_limit_grows_with_the_pixels() {
        let seconds = |limits: RequestLimits, size| limits.time_limit(size).as_secs();
        let large = Some((4000, 3000));
        assert_eq!(seconds(limits(false, 0, 0.0), large), 10 + 36);
        assert_eq!(seconds(limits(false, 0, 0.5), large), 10 + 36);
        assert_eq!(seconds(limits(false, 0, 2.0), large), 10 + 96);
        assert_eq!(seconds(limits(false, 0, 2.0), None), 10);
        assert_eq!(seconds(limits(true, 0, 2.0), large), 10);
        // A server that states nonsense makes the client neither panic nor wait for ever.
        for nonsense in [f64::INFINITY, 1e300] {
            assert_eq!(seconds(limits(false, 0, nonsense), large), 3600);
        }
        assert_eq!(seconds(limits(false, 0, f64::NAN), large), 10 + 36);
        assert_eq!(limits(false, 0, 0.0).predicted_seconds((4000, 3000)), None);
        assert_eq!(limits(false, 0, 0.5).predicted_seconds((4000, 3000)), Some(6.0));
    }

    #[test]
    fn a_server_that_states_no_limit_decodes_every_image() {
        assert_eq!(limits(false, 12_000_000, 0.0).max_pixels(), 12_000_000);
        assert_eq!(limits(false, 0, 0.0).max_pixels(), u64::MAX);
    }

    #[test]
    fn the_largest_answer_has_room_for_an_image_of_twice_the_size() {
        assert_eq!(RequestLimits::max_response_bytes(None), 64 << 20);
        assert!(RequestLimits::max_response_bytes(Some((4000, 3000))) > 4 * 3 * 12_000_000 + (64 << 20));
    }
}
