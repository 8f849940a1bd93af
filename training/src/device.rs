//! The device to train on.

use burn::tensor::Device;
use clap::ValueEnum;

use crate::RunError;

/// The device to train on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TrainingDevice {
    /// The CPU
    Flex,
    /// A GPU through Vulkan, Metal or DirectX, in builds with `--features wgpu`
    Wgpu,
}

impl TrainingDevice {
    /// Returns burn's device.
    ///
    /// # Errors
    /// [`RunError::WgpuNotCompiled`] when the wgpu backend was not compiled in.
    pub fn open(self) -> Result<Device, RunError> {
        match self {
            Self::Flex => Ok(Device::flex()),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
            #[cfg(not(feature = "wgpu"))]
            Self::Wgpu => Err(RunError::WgpuNotCompiled),
        }
    }
}
