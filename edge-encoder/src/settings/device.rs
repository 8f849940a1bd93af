use clap::Args;
use lopside_delivery::{MAX_DEVICE_NAME_BYTES, is_valid_device_name};
use merge::Merge;
use serde::Deserialize;

use crate::SettingsError;

/// The key `device`.
#[derive(Debug, Clone, Default, Args, Deserialize, Merge)]
#[serde(transparent)]
#[merge(strategy = merge::option::overwrite_none)]
pub(crate) struct DeviceArg {
    /// Name of the device [default: the host name]
    #[arg(long, env = "LOPSIDE_DEVICE_NAME", value_name = "NAME")]
    pub(crate) device: Option<String>,
}

impl DeviceArg {
    /// Returns the device's name, by default the host name.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] if the name is not 1 to 128 visible ASCII characters.
    pub(crate) fn into_name(self) -> Result<String, SettingsError> {
        let name = self.device.unwrap_or_else(|| gethostname::gethostname().to_string_lossy().into_owned());
        if is_valid_device_name(&name) {
            return Ok(name);
        }
        Err(SettingsError::Invalid(format!(
            "{name:?} is not a valid device name: set device, LOPSIDE_DEVICE_NAME or --device to 1 to {MAX_DEVICE_NAME_BYTES} visible \
             ASCII characters"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_visible_ascii() {
        let name = |device: &str| DeviceArg { device: Some(device.to_owned()) }.into_name();
        assert_eq!(name("gate-7").unwrap(), "gate-7");
        let long = "x".repeat(MAX_DEVICE_NAME_BYTES + 1);
        for wrong in ["", "gate 7", "tür", long.as_str()] {
            assert!(name(wrong).unwrap_err().to_string().contains("--device"), "{wrong}");
        }
    }
}
