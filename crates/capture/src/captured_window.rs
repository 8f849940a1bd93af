use std::time::SystemTime;

/// A window of sensor rows.
#[derive(Debug, Clone, PartialEq)]
pub struct CapturedWindow {
    /// The values, row-major `[length, channels]`, in the units of the sensors.
    pub values: Vec<f32>,
    /// The moment of the last row, if the table has times whose zone is known.
    pub measured_at: Option<SystemTime>,
}
