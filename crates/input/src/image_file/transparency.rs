use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Rgb, RgbImage};

/// Factor from 8 to 16 bits.
const TO_16_BITS: u16 = 257;

/// Returns an image without alpha channel: its pixels over a background in sRGB, mixed as browsers do, by the encoded
/// values. A grey image stays grey if the background is.
pub(super) fn flatten(image: DynamicImage, background: [u8; 3]) -> DynamicImage {
    let (width, height) = (image.width(), image.height());
    let is_neutral = background.iter().all(|&sample| sample == background[0]);
    let deep = background.map(|sample| u16::from(sample) * TO_16_BITS);
    match image {
        DynamicImage::ImageLumaA8(image) if is_neutral => GrayImage::from_fn(width, height, |x, y| {
            let [grey, alpha] = image.get_pixel(x, y).0;
            Luma([mix_8_bits(grey, background[0], alpha)])
        })
        .into(),
        DynamicImage::ImageLumaA16(image) if is_neutral => ImageBuffer::from_fn(width, height, |x, y| {
            let [grey, alpha] = image.get_pixel(x, y).0;
            Luma([mix_16_bits(grey, deep[0], alpha)])
        })
        .into(),
        DynamicImage::ImageLumaA8(_) | DynamicImage::ImageRgba8(_) => {
            let image = image.into_rgba8();
            RgbImage::from_fn(width, height, |x, y| {
                let pixel = image.get_pixel(x, y).0;
                Rgb([0, 1, 2].map(|colour| mix_8_bits(pixel[colour], background[colour], pixel[3])))
            })
            .into()
        }
        DynamicImage::ImageLumaA16(_) | DynamicImage::ImageRgba16(_) => {
            let image = image.into_rgba16();
            let flat: ImageBuffer<Rgb<u16>, Vec<u16>> = ImageBuffer::from_fn(width, height, |x, y| {
                let pixel = image.get_pixel(x, y).0;
                Rgb([0, 1, 2].map(|colour| mix_16_bits(pixel[colour], deep[colour], pixel[3])))
            });
            flat.into()
        }
        other => other,
    }
}

fn mix_8_bits(sample: u8, background: u8, alpha: u8) -> u8 {
    let (sample, background, alpha) = (u32::from(sample), u32::from(background), u32::from(alpha));
    ((sample * alpha + background * (255 - alpha) + 127) / 255) as u8
}

fn mix_16_bits(sample: u16, background: u16, alpha: u16) -> u16 {
    let (sample, background, alpha) = (u64::from(sample), u64::from(background), u64::from(alpha));
    ((sample * alpha + background * (65_535 - alpha) + 32_767) / 65_535) as u16
}

#[cfg(test)]
mod tests {
    use image::{LumaA, Rgba};

    use super::*;

    #[test]
    fn hidden_colours_do_not_appear_and_grey_stays_grey() {
        let hidden = ImageBuffer::from_pixel(1, 1, Rgba([9_u8, 200, 30, 0]));
        assert_eq!(flatten(hidden.into(), [1, 2, 3]).into_rgb8().get_pixel(0, 0), &Rgb([1, 2, 3]));
        let half = ImageBuffer::from_pixel(1, 1, LumaA([0_u8, 128]));
        let flat = flatten(half.into(), [255; 3]);
        assert_eq!(flat, DynamicImage::from(GrayImage::from_pixel(1, 1, Luma([127]))));
        let deep = ImageBuffer::from_pixel(1, 1, Rgba([65_535_u16, 0, 0, 65_535]));
        let flat = flatten(deep.into(), [255; 3]).into_rgb16();
        assert_eq!(flat.get_pixel(0, 0), &Rgb([65_535, 0, 0]));
    }

    #[test]
    fn an_image_without_alpha_is_returned_as_it_is() {
        let image = DynamicImage::from(RgbImage::from_pixel(2, 1, Rgb([1, 2, 3])));
        assert_eq!(flatten(image.clone(), [0; 3]), image);
    }
}
