//! The colour space of a file as a profile that a conversion can start from.

use moxcms::{
    Chromaticity, CicpColorPrimaries, CicpProfile, ColorPrimaries, ColorProfile, DataColorSpace,
    MatrixCoefficients, ToneReprCurve, TransferCharacteristics, XyY,
};

use super::super::{ImageNotes, ImageWarning, png_chunks::PngChunks};

/// The gamma of sRGB in PNG, times 100,000.
const SRGB_GAMMA: u32 = 45_455;
/// The largest difference at which a gamma still means sRGB, as in libpng: 5 %.
const GAMMA_TOLERANCE: u32 = SRGB_GAMMA / 20;
/// The brightness of white text, in cd/m² (ITU-R BT.2408). It becomes the white of sRGB; what is brighter is clipped.
const REFERENCE_WHITE: f64 = 203.0;
/// Number of entries of a curve.
const CURVE_ENTRIES: u32 = 4096;

/// A curve from the value of a sample, 0 to 1, to its brightness.
type LightCurve = fn(f64) -> f64;

/// The colour space that a file declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum ColourSpace {
    /// sRGB, or none.
    Srgb,
    /// An ICC profile.
    Icc(Vec<u8>),
    /// Code points of ITU-T H.273: primaries and transfer function.
    CodePoints(u8, u8),
    /// An exponent of encoding, times 100,000, with chromaticities.
    Gamma(u32, Option<[u32; 8]>),
}

impl ColourSpace {
    /// Returns the space of a file with an ICC profile, or with none.
    pub(in super::super) fn from_icc(profile: Option<Vec<u8>>) -> Self {
        profile.map_or(Self::Srgb, Self::Icc)
    }

    /// Returns the space of a PNG file. Code points come before a profile, a profile before sRGB, and all of them before
    /// a gamma (PNG, third edition, 4.3).
    pub(in super::super) fn from_png(chunks: &PngChunks, profile: Option<Vec<u8>>) -> Self {
        match (chunks.cicp, profile, chunks.gamma) {
            (Some([primaries, transfer, 0, 1]), _, _) => Self::CodePoints(primaries, transfer),
            (_, Some(profile), _) => Self::Icc(profile),
            (_, _, Some(gamma)) if !chunks.is_srgb && gamma > 0 => Self::Gamma(gamma, chunks.chromaticities),
            _ => Self::Srgb,
        }
    }

    /// Returns the profile to convert from; `None` for sRGB, or for a space that is not understood, which is noted.
    pub(super) fn profile(&self, notes: &mut ImageNotes) -> Option<ColorProfile> {
        let profile = match self {
            Self::Srgb => return None,
            Self::Icc(bytes) => icc_profile(bytes, notes),
            Self::CodePoints(primaries, transfer) => code_point_profile(*primaries, *transfer, notes),
            Self::Gamma(gamma, chromaticities) => Ok(gamma_profile(*gamma, chromaticities.as_ref())),
        };
        profile.map_err(|reason| notes.warn(ImageWarning::ColourProfileIgnored { reason })).ok()
    }
}

fn icc_profile(bytes: &[u8], notes: &mut ImageNotes) -> Result<ColorProfile, String> {
    let profile = ColorProfile::new_from_slice(bytes).map_err(|error| error.to_string())?;
    if let Some(code_points) = profile.cicp
        && high_dynamic_range(code_points.transfer_characteristics).is_some()
    {
        let (primaries, transfer) = (code_points.color_primaries, code_points.transfer_characteristics);
        return code_point_profile(primaries as u8, transfer as u8, notes);
    }
    match profile.color_space {
        DataColorSpace::Rgb => Ok(profile),
        DataColorSpace::Gray => {
            let mut grey = ColorProfile::new_srgb();
            let curve = profile.gray_trc.ok_or("the profile for grey has no curve")?;
            set_curve(&mut grey, &curve);
            Ok(grey)
        }
        other => Err(format!("the profile is for {other:?}, the pixels are RGB or grey")),
    }
}

fn code_point_profile(primaries: u8, transfer: u8, notes: &mut ImageNotes) -> Result<ColorProfile, String> {
    let error = |error: moxcms::CmsError| error.to_string();
    let color_primaries = CicpColorPrimaries::try_from(primaries).map_err(error)?;
    let transfer = TransferCharacteristics::try_from(transfer).map_err(error)?;
    let hdr = high_dynamic_range(transfer);
    let mut profile = ColorProfile::new_from_cicp(CicpProfile {
        color_primaries,
        transfer_characteristics: if hdr.is_some() { TransferCharacteristics::Srgb } else { transfer },
        matrix_coefficients: MatrixCoefficients::Identity,
        full_range: true,
    });
    if profile.red_trc.is_none() {
        return Err(format!("the colour code points {primaries} and {} are not supported", transfer as u8));
    }
    let Some((name, light)) = hdr else { return Ok(profile) };
    notes.warn(ImageWarning::HighDynamicRange { transfer: name });
    set_curve(&mut profile, &tabulated(light));
    Ok(profile)
}

/// Returns name and curve of a transfer function of high dynamic range; the curve maps 0 to 1 to the brightness, where
/// 1 is the reference white.
fn high_dynamic_range(transfer: TransferCharacteristics) -> Option<(&'static str, LightCurve)> {
    match transfer {
        TransferCharacteristics::Smpte2084 => Some(("PQ", pq_light)),
        TransferCharacteristics::Hlg => Some(("HLG", hlg_light)),
        _ => None,
    }
}

/// The curve of SMPTE ST 2084, in units of the reference white.
fn pq_light(value: f64) -> f64 {
    const M1: f64 = 2610.0 / 16384.0;
    const M2: f64 = 2523.0 / 32.0;
    const C1: f64 = 3424.0 / 4096.0;
    const C2: f64 = 2413.0 / 128.0;
    const C3: f64 = 2392.0 / 128.0;
    let root = value.powf(1.0 / M2);
    let relative = ((root - C1).max(0.0) / (C2 - C3 * root)).powf(1.0 / M1);
    10_000.0 * relative / REFERENCE_WHITE
}

/// The curve of ITU-R BT.2100 for hybrid log-gamma, at a screen of 1000 cd/m², in units of the reference white. The
/// gamma of the screen is applied to each colour.
fn hlg_light(value: f64) -> f64 {
    const A: f64 = 0.178_832_77;
    const B: f64 = 0.284_668_92;
    const C: f64 = 0.559_910_73;
    let scene = if value <= 0.5 { value * value / 3.0 } else { (((value - C) / A).exp() + B) / 12.0 };
    1000.0 * scene.powf(1.2) / REFERENCE_WHITE
}

fn tabulated(light: LightCurve) -> ToneReprCurve {
    let last = f64::from(CURVE_ENTRIES - 1);
    let entry = |index| (light(f64::from(index) / last).clamp(0.0, 1.0) * f64::from(u16::MAX)).round() as u16;
    ToneReprCurve::Lut((0..CURVE_ENTRIES).map(entry).collect())
}

fn gamma_profile(gamma: u32, chromaticities: Option<&[u32; 8]>) -> ColorProfile {
    let mut profile = ColorProfile::new_srgb();
    if let Some([white, red, green, blue]) = chromaticities.and_then(|values| {
        let (points, _) = values.as_chunks::<2>();
        <[[u32; 2]; 4]>::try_from(points).ok()
    }) && [white, red, green, blue].iter().all(|point| point[1] > 0)
    {
        let point = |[x, y]: [u32; 2]| Chromaticity::new(x as f32 / 1e5, y as f32 / 1e5);
        let white = XyY::new(f64::from(white[0]) / 1e5, f64::from(white[1]) / 1e5, 1.0);
        let primaries = ColorPrimaries { red: point(red), green: point(green), blue: point(blue) };
        profile.update_rgb_colorimetry(white, primaries);
    }
    if gamma.abs_diff(SRGB_GAMMA) > GAMMA_TOLERANCE {
        set_curve(&mut profile, &ToneReprCurve::Parametric(vec![1e5 / gamma as f32]));
    }
    profile
}

fn set_curve(profile: &mut ColorProfile, curve: &ToneReprCurve) {
    profile.cicp = None;
    profile.red_trc = Some(curve.clone());
    profile.green_trc = Some(curve.clone());
    profile.blue_trc = Some(curve.clone());
}
