use std::{
    ffi::OsStr,
    fs,
    io::{self, ErrorKind},
    ops::RangeInclusive,
    path::Path,
    process::{Command, Stdio},
};

use image::{
    DynamicImage, ImageEncoder,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};
use tempfile::TempDir;

use super::{Baseline, ChromaSampling, check_quality};
use crate::{QualityError, image_view::ImageView};

const CODEC: &str = "AVIF";
const QUALITIES: RangeInclusive<u8> = 0..=100;
const ENCODER: &str = "avifenc";
const DECODER: &str = "avifdec";
const PACKAGE: &str = "libavif-bin";
const SPEED: u8 = 6;
const MAX_SPEED: u8 = 10;
/// The coarsest quantiser of AV1, on libaom's scale.
const COARSEST: u32 = 63;

/// AVIF, with libaom as the AV1 encoder. libavif's programs `avifenc` and `avifdec` encode and decode it with
/// one thread each. They run as child processes with files in a temporary folder, because no crate both
/// encodes and decodes AVIF.
///
/// The qualities 0 to 100 are libaom's constant-quality levels `cq-level` 63 to 0, mapped as `-q` of libavif
/// 1.0 does, so that older versions of libavif can be used too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Avif {
    speed: u8,
    chroma: ChromaSampling,
    version: String,
}

impl Avif {
    /// Finds the programs, and returns AVIF at speed 6, the default of `avifenc`, with 4:2:0 sampling.
    ///
    /// # Errors
    /// Returns [`QualityError::MissingProgram`] if `avifenc` or `avifdec` is not on PATH, [`QualityError::CodecFailed`] if
    /// one of them does not start.
    pub fn find() -> Result<Self, QualityError> {
        run("decode", DECODER, ["--version"])?;
        let version = run("encode", ENCODER, ["--version"])?;
        let version = version.lines().next().unwrap_or_default().trim_start_matches("Version: ").to_owned();
        Ok(Self { speed: SPEED, chroma: ChromaSampling::default(), version })
    }

    /// Sets the speed: 0, the slowest with the smallest files, to 10.
    ///
    /// # Errors
    /// Returns [`QualityError::InvalidEffort`] for a speed above 10.
    pub fn with_speed(self, speed: u8) -> Result<Self, QualityError> {
        if speed > MAX_SPEED {
            return Err(QualityError::InvalidEffort {
                codec: CODEC,
                knob: "speed",
                found: speed,
                max: MAX_SPEED,
            });
        }
        Ok(Self { speed, ..self })
    }

    /// Sets the chroma sampling.
    #[must_use]
    pub fn with_chroma(self, chroma: ChromaSampling) -> Self {
        Self { chroma, ..self }
    }

    /// Returns the version that `avifenc` reports, with the versions of its AV1 libraries.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    fn options(&self, view: &ImageView<'_>, quality: u8) -> Vec<String> {
        let sampling = match (view.shape.channels, self.chroma) {
            (1, _) => "400",
            (_, ChromaSampling::Quarter) => "420",
            (_, ChromaSampling::Full) => "444",
        };
        let level = cq_level(quality);
        let options = format!(
            "-c aom -j 1 -s {} -y {sampling} -d 8 --min 0 --max {COARSEST} -a end-usage=q -a cq-level={level}",
            self.speed
        );
        options.split(' ').map(str::to_owned).collect()
    }
}

impl Baseline for Avif {
    fn name(&self) -> String {
        format!("{CODEC} {}, speed {}", self.chroma, self.speed)
    }

    fn qualities(&self) -> RangeInclusive<u8> {
        QUALITIES
    }

    fn encode(&self, image: &DynamicImage, quality: u8) -> Result<Vec<u8>, QualityError> {
        check_quality(CODEC, &QUALITIES, quality)?;
        let view = ImageView::new(image)?;
        let folder = folder("encode")?;
        let (input, output) = (folder.path().join("picture.png"), folder.path().join("picture.avif"));
        fs::write(&input, plain_png(&view)?).map_err(|error| failed("encode", &error))?;
        let options = self.options(&view, quality);
        let files = [input.as_os_str(), output.as_os_str()];
        run("encode", ENCODER, options.iter().map(OsStr::new).chain(files))?;
        fs::read(&output).map_err(|error| failed("encode", &error))
    }

    fn decode(&self, file: &[u8]) -> Result<DynamicImage, QualityError> {
        let folder = folder("decode")?;
        let (input, output) = (folder.path().join("picture.avif"), folder.path().join("picture.png"));
        fs::write(&input, file).map_err(|error| failed("decode", &error))?;
        let options = ["-c", "dav1d", "-j", "1", "-d", "8"].map(OsStr::new);
        run("decode", DECODER, options.into_iter().chain([input.as_os_str(), output.as_os_str()]))?;
        read_png(&output)
    }
}

/// Maps a quality to a quantiser level as `-q` of libavif 1.0 does.
fn cq_level(quality: u8) -> u32 {
    ((100 - u32::from(quality)) * COARSEST + 50) / 100
}

/// Encodes a PNG without filters or compression, so that reading it takes a negligible part of the encoder's
/// time.
fn plain_png(view: &ImageView<'_>) -> Result<Vec<u8>, QualityError> {
    let mut png = Vec::new();
    let (width, height) = (view.shape.width, view.shape.height);
    PngEncoder::new_with_quality(&mut png, CompressionType::Uncompressed, FilterType::NoFilter)
        .write_image(view.samples, width, height, view.colour_type())
        .map_err(|error| failed("encode", &error))?;
    Ok(png)
}

fn read_png(path: &Path) -> Result<DynamicImage, QualityError> {
    let decoded = image::open(path).map_err(|error| failed("decode", &error))?;
    Ok(match decoded {
        DynamicImage::ImageLuma8(_) => decoded,
        other => DynamicImage::ImageRgb8(other.to_rgb8()),
    })
}

fn folder(action: &'static str) -> Result<TempDir, QualityError> {
    tempfile::tempdir().map_err(|error| failed(action, &error))
}

/// Runs a program of libavif to its end and returns its standard output.
fn run<A: AsRef<OsStr>>(
    action: &'static str,
    program: &'static str,
    arguments: impl IntoIterator<Item = A>,
) -> Result<String, QualityError> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| not_run(action, program, &error))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let reason = stderr.lines().find(|line| !line.trim().is_empty()).unwrap_or("no error message").trim();
        return Err(failed(action, &format!("{program} ended with {} ({reason})", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn not_run(action: &'static str, program: &'static str, error: &io::Error) -> QualityError {
    match error.kind() {
        ErrorKind::NotFound => QualityError::MissingProgram { program, package: PACKAGE },
        _ => failed(action, &format!("{program} did not start: {error}")),
    }
}

fn failed(action: &'static str, reason: &dyn std::fmt::Display) -> QualityError {
    QualityError::CodecFailed { codec: CODEC, action, reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{baseline_point, samples};

    /// Returns `None` if the programs are not installed: they are optional on a developer's machine, but CI
    /// has them.
    fn installed() -> Option<Avif> {
        match Avif::find() {
            Ok(avif) => Some(avif.with_speed(9).unwrap()),
            Err(QualityError::MissingProgram { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn grey_and_colour_images_survive_a_round_trip() {
        let Some(avif) = installed() else { return };
        for chroma in [ChromaSampling::Quarter, ChromaSampling::Full] {
            let avif = avif.clone().with_chroma(chroma);
            for image in [samples::natural_grey(61, 47), samples::natural_rgb(61, 47)] {
                let point = baseline_point(&avif, &image, 90).unwrap();
                assert!(point.psnr > 32.0, "{point:?} for {:?}", image.color());
            }
        }
    }

    #[test]
    fn the_file_and_the_psnr_grow_with_quality() {
        let Some(avif) = installed() else { return };
        let image = samples::natural_rgb(96, 64);
        let points = [10, 50, 80].map(|quality| baseline_point(&avif, &image, quality).unwrap());
        assert!(points.is_sorted_by(|a, b| a.bytes < b.bytes && a.psnr < b.psnr), "{points:?}");
        assert_eq!(&avif.encode(&image, 10).unwrap()[4..12], b"ftypavif");
    }

    #[test]
    fn damaged_files_are_named() {
        let Some(avif) = installed() else { return };
        let error = avif.decode(b"RIFF").unwrap_err().to_string();
        assert!(error.contains("avifdec ended with"), "{error}");
    }

    #[test]
    fn qualities_are_the_quantisers_of_libavif() {
        let levels = [0, 1, 50, 60, 99, 100].map(cq_level);
        assert_eq!(levels, [63, 62, 32, 25, 1, 0]);
    }

    #[test]
    fn a_missing_program_names_its_package() {
        let error = run("encode", "avifenc-of-nowhere", ["--version"]).unwrap_err().to_string();
        assert!(error.contains("apt-get install libavif-bin"), "{error}");
    }

    #[test]
    fn wrong_settings_are_named() {
        let avif = Avif { speed: 6, chroma: ChromaSampling::Full, version: String::new() };
        assert_eq!(avif.name(), "AVIF 4:4:4, speed 6");
        let error = avif.encode(&samples::natural_grey(8, 8), 101).unwrap_err();
        assert!(matches!(error, QualityError::InvalidSetting { found: 101, min: 0, max: 100, .. }));
        let error = avif.with_speed(11).unwrap_err().to_string();
        assert!(error.contains("AVIF speed 11"), "{error}");
    }
}
