use std::{fmt, ops::RangeInclusive};

use image::DynamicImage;

use super::CodecPoint;
use crate::{QualityError, psnr};

/// A lossy codec to compare with. Whoever implements it can be measured, put into a curve and timed.
pub trait Peer {
    /// The codec with what distinguishes it, for tables and legends: `JPEG 4:2:0`.
    fn name(&self) -> String;

    /// The quality settings, higher is better. The scales of two codecs are not comparable.
    fn qualities(&self) -> RangeInclusive<u8>;

    /// The picture, 8-bit grey or RGB, as a whole file.
    ///
    /// # Errors
    /// [`QualityError::Setting`] for a quality outside [`qualities`](Self::qualities), [`QualityError::Side`] for a side
    /// that the format cannot hold, [`QualityError::Colour`] or [`QualityError::Empty`] for a picture that is not
    /// supported, [`QualityError::Codec`] when the encoder fails.
    fn encode(&self, image: &DynamicImage, quality: u8) -> Result<Vec<u8>, QualityError>;

    /// The picture in a file of [`encode`](Self::encode): 8-bit RGB, or grey where the format has grey.
    ///
    /// # Errors
    /// [`QualityError::Codec`] when the file is damaged.
    fn decode(&self, file: &[u8]) -> Result<DynamicImage, QualityError>;
}

/// The size of the peer's file for one picture and the PSNR of the picture in it. A grey picture is compared with the
/// luma of the decoded one.
///
/// # Errors
/// As [`Peer::encode`] and [`Peer::decode`].
pub fn peer_point(peer: &dyn Peer, image: &DynamicImage, quality: u8) -> Result<CodecPoint, QualityError> {
    let file = peer.encode(image, quality)?;
    let decoded = in_colours_of(image, peer.decode(&file)?);
    Ok(CodecPoint { quality, bytes: file.len(), psnr: psnr(image, &decoded)? })
}

/// `decoded` as grey when `original` is: some formats have no grey and bring it back as three equal channels.
pub(crate) fn in_colours_of(original: &DynamicImage, decoded: DynamicImage) -> DynamicImage {
    match (original, decoded) {
        (DynamicImage::ImageLuma8(_), DynamicImage::ImageRgb8(rgb)) => {
            DynamicImage::ImageLuma8(DynamicImage::ImageRgb8(rgb).to_luma8())
        }
        (_, decoded) => decoded,
    }
}

/// How densely a file of `YCbCr` samples has chroma. Grey files have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ChromaSampling {
    /// 4:2:0: one chroma sample for four pixels, what cameras and the web send.
    #[default]
    Quarter,
    /// 4:4:4: one chroma sample a pixel.
    Full,
}

impl fmt::Display for ChromaSampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quarter => "4:2:0",
            Self::Full => "4:4:4",
        })
    }
}
