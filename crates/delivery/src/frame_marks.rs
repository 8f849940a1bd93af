/// Units of a stored coordinate per degree.
const UNITS_PER_DEGREE: f64 = 1e7;
/// Centimetres per metre.
const CM_PER_METRE: f64 = 100.0;
/// The largest latitude in units of 10⁻⁷ degrees.
const MAX_LATITUDE_E7: i32 = 900_000_000;
/// The largest longitude in units of 10⁻⁷ degrees.
const MAX_LONGITUDE_E7: i32 = 1_800_000_000;

/// What a device found out about the input of a frame besides its contents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FrameMarks {
    /// Whether the input was damaged, so that a part of the frame shows something else than the input did.
    pub is_damaged: bool,
    /// The place of capture; `None` if it is unknown.
    pub location: Option<GeoPoint>,
}

/// A point on the earth, as in WGS 84. It is stored in integers, so that it comes back exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GeoPoint {
    latitude_e7: i32,
    longitude_e7: i32,
    altitude_cm: Option<i32>,
}

impl FrameMarks {
    /// Returns whether there is nothing to say about the input.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl GeoPoint {
    /// Creates a point from its coordinates in units of 10⁻⁷ degrees and its height in centimetres. Returns `None` if
    /// they are not on the earth.
    #[must_use]
    pub fn from_units(latitude_e7: i32, longitude_e7: i32, altitude_cm: Option<i32>) -> Option<Self> {
        let is_valid = (-MAX_LATITUDE_E7..=MAX_LATITUDE_E7).contains(&latitude_e7)
            && (-MAX_LONGITUDE_E7..=MAX_LONGITUDE_E7).contains(&longitude_e7);
        is_valid.then_some(Self { latitude_e7, longitude_e7, altitude_cm })
    }

    /// Creates a point from degrees and its height in metres. Returns `None` if the degrees are not on the earth; a
    /// height that is not a number or too large is left out.
    #[must_use]
    pub fn from_degrees(latitude: f64, longitude: f64, altitude_m: Option<f64>) -> Option<Self> {
        let altitude_cm = altitude_m.and_then(|metres| to_units(metres, CM_PER_METRE));
        Self::from_units(
            to_units(latitude, UNITS_PER_DEGREE)?,
            to_units(longitude, UNITS_PER_DEGREE)?,
            altitude_cm,
        )
    }

    /// Returns the latitude in units of 10⁻⁷ degrees.
    #[must_use]
    pub fn latitude_e7(self) -> i32 {
        self.latitude_e7
    }

    /// Returns the longitude in units of 10⁻⁷ degrees.
    #[must_use]
    pub fn longitude_e7(self) -> i32 {
        self.longitude_e7
    }

    /// Returns the height above the sea in centimetres, if it is known.
    #[must_use]
    pub fn altitude_cm(self) -> Option<i32> {
        self.altitude_cm
    }

    /// Returns the degrees north of the equator.
    #[must_use]
    pub fn latitude(self) -> f64 {
        f64::from(self.latitude_e7) / UNITS_PER_DEGREE
    }

    /// Returns the degrees east of Greenwich.
    #[must_use]
    pub fn longitude(self) -> f64 {
        f64::from(self.longitude_e7) / UNITS_PER_DEGREE
    }

    /// Returns the height above the sea in metres, if it is known.
    #[must_use]
    pub fn altitude_m(self) -> Option<f64> {
        self.altitude_cm.map(|altitude_cm| f64::from(altitude_cm) / CM_PER_METRE)
    }
}

/// Returns a value as a whole number of units; `None` if it is not a number or does not fit.
fn to_units(value: f64, units: f64) -> Option<i32> {
    let scaled = (value * units).round();
    let is_valid = (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&scaled);
    is_valid.then_some(scaled as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees_become_units_and_come_back() {
        let point = GeoPoint::from_degrees(-33.856_784, 151.215_297, Some(12.346)).unwrap();
        assert_eq!((point.latitude_e7(), point.longitude_e7()), (-338_567_840, 1_512_152_970));
        assert_eq!(point.altitude_cm(), Some(1235));
        assert_eq!(
            (point.latitude(), point.longitude(), point.altitude_m()),
            (-33.856_784, 151.215_297, Some(12.35))
        );
    }

    #[test]
    fn a_point_beyond_the_earth_is_none() {
        for (latitude, longitude) in [(90.1, 0.0), (0.0, -180.1), (f64::NAN, 0.0), (0.0, f64::INFINITY)] {
            assert_eq!(GeoPoint::from_degrees(latitude, longitude, None), None, "{latitude} {longitude}");
        }
        assert_eq!(GeoPoint::from_units(MAX_LATITUDE_E7 + 1, 0, None), None);
        assert_eq!(GeoPoint::from_units(0, i32::MIN, None), None);
        let corner = GeoPoint::from_degrees(90.0, -180.0, Some(f64::NAN)).unwrap();
        assert_eq!((corner.latitude(), corner.longitude(), corner.altitude_m()), (90.0, -180.0, None));
    }

    #[test]
    fn marks_without_contents_are_empty() {
        assert!(FrameMarks::default().is_empty());
        assert!(!FrameMarks { is_damaged: true, location: None }.is_empty());
        let location = GeoPoint::from_units(0, 0, None);
        assert!(!FrameMarks { is_damaged: false, location }.is_empty());
    }
}
