//! A file whose header was read: its size and everything that decides about its pixels.

use std::{borrow::Cow, io::Cursor};

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, metadata::Orientation};

use super::{
    ImageFileError, ImageNotes, ImagePolicy, ImageWarning, ReadImage,
    colour::{ColourSpace, to_srgb},
    container::{has_several_images, refuse_camera_raw},
    depth::stretch_significant_bits,
    embedded_profile::read_profile,
    exif::{ExifFacts, read_exif},
    format::FileFormat,
    jpeg::JpegFile,
    limits::{check_declared_size, decoder_limits},
    png_chunks::PngChunks,
    tiff_directory::check_tiff_directory,
    tiff_ycbcr::{convert_to_rgb, declared_as_rgb},
    transparency::flatten,
    webp_chunks::check_webp_chunks,
};

/// An image whose header was read.
pub(super) struct OpenImage<'a> {
    /// The bytes from the start of the image.
    bytes: &'a [u8],
    pixels: Pixels<'a>,
    colour_space: ColourSpace,
    orientation: Orientation,
    notes: ImageNotes,
}

enum Pixels<'a> {
    Jpeg(JpegFile<'a>),
    Other {
        format: ImageFormat,
        decoder: Box<dyn ImageDecoder + 'a>,
        /// Whether samples that are declared as RGB are YCbCr.
        is_ycbcr: bool,
    },
}

impl<'a> OpenImage<'a> {
    /// Reads the header of a file, and compares its size with the limits.
    ///
    /// # Errors
    /// [`ImageFileError`]: not an image that is read, an invalid header, or a size over a limit.
    pub(super) fn open(bytes: &'a [u8], policy: &ImagePolicy) -> Result<Self, ImageFileError> {
        match FileFormat::detect(bytes) {
            Some(FileFormat::Read(ImageFormat::Jpeg, start)) => Self::open_jpeg(bytes, start, policy),
            Some(FileFormat::Read(format, _)) => Self::open_other(bytes, format, policy),
            Some(FileFormat::Refused(kind, fix)) => Err(ImageFileError::Unsupported { kind, fix }),
            None => Err(ImageFileError::UnknownFormat { first: bytes.iter().take(8).copied().collect() }),
        }
    }

    fn open_jpeg(bytes: &'a [u8], start: usize, policy: &ImagePolicy) -> Result<Self, ImageFileError> {
        let bytes = bytes.get(start..).unwrap_or_default();
        let file = JpegFile::parse(bytes)?;
        let (width, height) = file.dimensions();
        check_declared_size(width, height, &policy.limits)?;
        let mut notes = ImageNotes::default();
        if start > 0 {
            notes.warn(ImageWarning::LeadingBytes { count: start });
        }
        let mut profile = file.icc_profile();
        if file.is_cmyk() && profile.take().is_some() {
            let reason = "profiles for CMYK are not applied".into();
            notes.warn(ImageWarning::ColourProfileIgnored { reason });
        }
        let orientation = note_exif(file.exif(), &mut notes);
        let colour_space = ColourSpace::from_icc(profile);
        Ok(Self { bytes, pixels: Pixels::Jpeg(file), colour_space, orientation, notes })
    }

    fn open_other(
        bytes: &'a [u8],
        format: ImageFormat,
        policy: &ImagePolicy,
    ) -> Result<Self, ImageFileError> {
        if format == ImageFormat::Tiff {
            refuse_camera_raw(bytes)?;
            check_tiff_directory(bytes, &policy.limits)?;
        }
        if format == ImageFormat::WebP {
            check_webp_chunks(bytes, &policy.limits)?;
        }
        let declared = if format == ImageFormat::Tiff { declared_as_rgb(bytes) } else { None };
        let is_ycbcr = declared.is_some();
        let content = declared.map_or(Cow::Borrowed(bytes), Cow::Owned);
        let mut reader = ImageReader::with_format(Cursor::new(content), format);
        reader.limits(decoder_limits(&policy.limits));
        let mut decoder = reader.into_decoder()?;
        let (width, height) = decoder.dimensions();
        check_declared_size(width, height, &policy.limits)?;
        let mut notes = ImageNotes::default();
        let profile = read_profile(bytes, format, &mut decoder).unwrap_or_else(|reason| {
            notes.warn(ImageWarning::ColourProfileIgnored { reason });
            None
        });
        let colour_space = match format {
            ImageFormat::Png => ColourSpace::from_png(&PngChunks::read(bytes), profile),
            _ => ColourSpace::from_icc(profile),
        };
        let orientation = match format {
            // The file itself has the structure of an EXIF block.
            ImageFormat::Tiff => note_exif(Some(bytes), &mut notes),
            _ => note_exif(decoder.exif_metadata().ok().flatten().as_deref(), &mut notes),
        };
        if has_several_images(bytes, format) {
            notes.warn(ImageWarning::FirstOfSeveral);
        }
        let pixels = Pixels::Other { format, decoder: Box::new(decoder), is_ycbcr };
        Ok(Self { bytes, pixels, colour_space, orientation, notes })
    }

    /// Returns width and height of the image when it is upright.
    pub(super) fn dimensions(&self) -> (u32, u32) {
        let (width, height) = match &self.pixels {
            Pixels::Jpeg(file) => file.dimensions(),
            Pixels::Other { decoder, .. } => decoder.dimensions(),
        };
        match self.orientation {
            Orientation::NoTransforms
            | Orientation::FlipHorizontal
            | Orientation::FlipVertical
            | Orientation::Rotate180 => (width, height),
            Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH => (height, width),
        }
    }

    /// Decodes the samples. The bytes of the file are not needed any more.
    ///
    /// # Errors
    /// [`ImageFileError`]: the data is damaged.
    pub(super) fn decode(self, policy: &ImagePolicy) -> Result<DecodedImage, ImageFileError> {
        let mut notes = self.notes;
        let image = match self.pixels {
            Pixels::Jpeg(file) => file.decode(policy, &mut notes)?,
            Pixels::Other { format, decoder, is_ycbcr } => {
                let mut image = decode_other(self.bytes, format, decoder).map_err(damaged_pixels)?;
                if let (true, DynamicImage::ImageRgb8(image)) = (is_ycbcr, &mut image) {
                    convert_to_rgb(image);
                }
                image
            }
        };
        Ok(DecodedImage { image, colour_space: self.colour_space, orientation: self.orientation, notes })
    }
}

/// The samples of a file, and what has to be done with them.
pub(super) struct DecodedImage {
    image: DynamicImage,
    colour_space: ColourSpace,
    orientation: Orientation,
    notes: ImageNotes,
}

impl DecodedImage {
    /// Returns the image in sRGB, upright, without alpha.
    pub(super) fn into_shown(self, policy: &ImagePolicy) -> ReadImage {
        let mut notes = self.notes;
        let image = to_srgb(self.image, &self.colour_space, &mut notes);
        let mut image = flatten(image, policy.background);
        image.apply_orientation(self.orientation);
        ReadImage { image, notes }
    }
}

/// Returns the error of pixels that cannot be decoded, although the header is valid.
fn damaged_pixels(error: ImageFileError) -> ImageFileError {
    match error {
        ImageFileError::Decode(
            error @ (ImageError::Decoding(_) | ImageError::IoError(_) | ImageError::Parameter(_)),
        ) => ImageFileError::damaged(error.to_string()),
        other => other,
    }
}

/// Decodes the samples to integers of the whole range of their type.
fn decode_other(
    bytes: &[u8],
    format: ImageFormat,
    decoder: Box<dyn ImageDecoder + '_>,
) -> Result<DynamicImage, ImageFileError> {
    let mut image = match DynamicImage::from_decoder(decoder)? {
        DynamicImage::ImageRgb32F(image) => DynamicImage::from(image).into_rgb16().into(),
        DynamicImage::ImageRgba32F(image) => DynamicImage::from(image).into_rgba16().into(),
        image => image,
    };
    if let (ImageFormat::Png, Some(bits)) = (format, PngChunks::read(bytes).significant_bits) {
        stretch_significant_bits(&mut image, bits);
    }
    Ok(image)
}

/// Notes time and place of an EXIF block, and returns the orientation.
fn note_exif(block: Option<&[u8]>, notes: &mut ImageNotes) -> Orientation {
    let Some(block) = block else { return Orientation::NoTransforms };
    let ExifFacts { orientation, captured_at, location } = read_exif(block).unwrap_or_else(|reason| {
        notes.warn(ImageWarning::DamagedExif { reason: reason.into() });
        ExifFacts::default()
    });
    (notes.captured_at, notes.location) = (captured_at, location);
    orientation.unwrap_or(Orientation::NoTransforms)
}
