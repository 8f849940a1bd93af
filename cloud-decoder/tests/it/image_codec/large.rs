//! The memory for a large image, during its request and after it.

use std::time::{Duration, Instant};

use axum::http::{Request, StatusCode};
use lopside_latent::{
    IdOnWire,
    image_codec::{ImageCodecHeader, ImageCodecSpace, Quality},
};

use super::{
    bundles::{QUALITY, STRIDES, photo},
    service::send,
};
use crate::front::process::ServerProcess;

/// Side of an image of 17 megapixels, which is computed in several tiles.
const SIDE: u32 = 4096;
/// Maximum bytes per pixel of the image, for all steps of a request together.
const BYTES_PER_PIXEL: u64 = 40;
/// Freed memory is returned after about a second, while the server works.
const RETURN_TIMEOUT: Duration = Duration::from_mins(1);

/// Returns a frame with only the coarsest layer. Its first channel has a pattern, and the others are zeros.
fn large_frame(space: &ImageCodecSpace) -> Vec<u8> {
    let quality = Quality::new(QUALITY).unwrap();
    let header = ImageCodecHeader { width: SIDE, height: SIDE, is_grey: false, quality };
    let mut layer = vec![0; space.layout().elements(0, SIDE, SIDE)];
    let columns = SIDE as usize / STRIDES[0];
    for (cell, value) in layer.iter_mut().take(columns * columns).enumerate() {
        *value = pattern(cell / columns, cell % columns);
    }
    space.encode_integers(header, &[layer], IdOnWire::Present).unwrap()
}

/// Returns a value that differs between the cells at the corresponding places of any two tiles.
fn pattern(row: usize, column: usize) -> i16 {
    ((row / 64 * 17 + column / 64) % 200) as i16
}

#[tokio::test]
async fn a_large_image_takes_little_memory_and_gives_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = photo(folder.path());
    let frame = large_frame(&bundle.space);
    let process = ServerProcess::start_bundle(folder.path(), &["--request-timeout-ms", "120000"]);
    let idle = process.status_bytes("VmRSS:");

    let decode = Request::post("/v1/bundles/photo/decode?head=plain").header("accept", "image/png");
    let (parts, png) = send(&process.url, decode, frame).await;
    let peak = process.status_bytes("VmHWM:") - idle;
    assert_eq!(parts.status, StatusCode::OK, "{}", String::from_utf8_lossy(&png));
    let pixels = u64::from(SIDE) * u64::from(SIDE);
    assert!(peak <= BYTES_PER_PIXEL * pixels, "{} bytes per pixel", peak / pixels);
    check_image(&png);

    let answered_at = Instant::now();
    loop {
        let kept = process.status_bytes("VmRSS:").saturating_sub(idle);
        if kept <= peak / 4 {
            break;
        }
        assert!(answered_at.elapsed() < RETURN_TIMEOUT, "{kept} of {peak} bytes are kept");
        assert_eq!(
            send(&process.url, Request::get("/v1/bundles"), Vec::new()).await.0.status,
            StatusCode::OK
        );
    }
}

/// Checks the image of the head `plain`: red at the first pixel of each cell has the pattern, and every sample has the
/// offset of the quality.
fn check_image(png: &[u8]) {
    let image = image::load_from_memory(png).unwrap().into_rgb8();
    assert_eq!(image.dimensions(), (SIDE, SIDE));
    let stride = STRIDES[0] as u32;
    for (x, y, pixel) in image.enumerate_pixels() {
        let mut expected = [QUALITY; 3];
        if x % stride == 0 && y % stride == 0 {
            expected[0] += pattern((y / stride) as usize, (x / stride) as usize) as u8;
        }
        assert_eq!(pixel.0, expected, "{x} {y}");
    }
}
