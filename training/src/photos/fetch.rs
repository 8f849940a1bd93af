//! Copies the photographs of [`sources`](super::sources) from their Debian packages.
//!
//! ```text
//! DIR/train/LABEL-NAME.EXT   for training and validation
//! DIR/test/LABEL-NAME.EXT    lossless, for evaluation
//! DIR/provenance.csv         file,package,version,licence,path,sha256,width,height
//! ```
//! `provenance.csv` is replaced last, so if it exists, all its files do. The packages and their unpacked
//! files, about 250 MB, are in a temporary folder below DIR that is removed at the end.

use std::{fs, path::Path};

use lopside_bundle::Digest;

use super::{
    image_file, packages,
    sources::{DebianPackage, PACKAGES, SourcePhoto, all_photos},
};
use crate::{
    PackageError, TrainingError,
    error::{io_error, missing_or_io_error},
    files::replace_file,
};

/// Name of the provenance table.
pub const PROVENANCE_FILE: &str = "provenance.csv";

const PROVENANCE_HEADER: &str = "file,package,version,licence,path,sha256,width,height";

/// The origin of a photograph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// Path below the folder, like `train/plasma-Kite.jpg`.
    pub file: String,
    /// The photograph's entry in the list: package, licence, path in the package.
    pub photo: SourcePhoto,
    /// The package's version.
    pub version: String,
    /// The digest of the file.
    pub sha256: Digest,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// Writes the photographs to `out`. Takes the packages from the folder `debs`, or with `apt-get download` for
/// `None`. Files of the same names are replaced, others are kept.
///
/// # Errors
/// [`PackageError::DebianCommand`] when `apt-get` or `dpkg-deb` is missing or fails; [`PackageError::DebFileCount`]
/// when `debs` does not contain exactly one file of a package; [`PackageError::MissingPhoto`] when a package of
/// another version lacks a photograph; [`PhotoError::Decoding`](crate::PhotoError::Decoding) when one cannot be
/// decoded; [`TrainingError::Io`].
pub fn fetch(out: &Path, debs: Option<&Path>) -> Result<Vec<Provenance>, TrainingError> {
    fs::create_dir_all(out).map_err(io_error(out))?;
    let work = tempfile::Builder::new().prefix(".packages-").tempdir_in(out).map_err(io_error(out))?;
    if debs.is_none() {
        packages::download(&PACKAGES, work.path())?;
    }
    let debs = debs.unwrap_or(work.path());
    let mut table = Vec::new();
    for package in PACKAGES {
        table.extend(copy_package(package, debs, work.path(), out)?);
    }
    write_provenance(&table, out)?;
    Ok(table)
}

/// Copies one package's photographs to `out`.
fn copy_package(
    package: &'static DebianPackage,
    debs: &Path,
    work: &Path,
    out: &Path,
) -> Result<Vec<Provenance>, TrainingError> {
    let deb = packages::find_deb(package, debs)?;
    let version = packages::deb_version(&deb)?;
    let unpacked = work.join(package.file_prefix);
    packages::unpack(&deb, &unpacked)?;
    all_photos()
        .filter(|photo| photo.package == package)
        .map(|photo| copy_photo(photo, &version, &unpacked, out))
        .collect()
}

fn copy_photo(
    photo: SourcePhoto,
    version: &str,
    unpacked: &Path,
    out: &Path,
) -> Result<Provenance, TrainingError> {
    let source = unpacked.join(&photo.path);
    let missing = PackageError::MissingPhoto {
        package: photo.package.name,
        version: version.to_owned(),
        path: photo.path.clone(),
        expected: photo.package.version,
    };
    let bytes = fs::read(&source).map_err(missing_or_io_error(&source, missing))?;
    let (width, height) = image_file::read_dimensions(&source)?;
    let folder = photo.package.purpose.folder();
    fs::create_dir_all(out.join(folder)).map_err(io_error(&out.join(folder)))?;
    let file = format!("{folder}/{}", photo.name);
    fs::write(out.join(&file), &bytes).map_err(io_error(&out.join(&file)))?;
    Ok(Provenance { file, photo, version: version.to_owned(), sha256: Digest::of(&bytes), width, height })
}

fn write_provenance(table: &[Provenance], out: &Path) -> Result<(), TrainingError> {
    let rows = table.iter().map(|row| {
        let Provenance { file, photo, version, sha256, width, height } = row;
        let SourcePhoto { package, licence, path, .. } = photo;
        format!("{file},{},{version},{licence},{path},{},{width},{height}\n", package.name, sha256.as_str())
    });
    replace_file(
        &out.join(PROVENANCE_FILE),
        format!("{PROVENANCE_HEADER}\n{}", rows.collect::<String>()).as_bytes(),
    )
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Returns a folder with one empty package of each name.
    fn empty_packages() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for package in PACKAGES {
            let tree = folder.path().join("tree");
            fs::create_dir_all(tree.join("DEBIAN")).unwrap();
            let control = format!(
                "Package: {}\nVersion: 9:1-1\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\n\
                 Description: empty\n",
                package.name
            );
            fs::write(tree.join("DEBIAN/control"), control).unwrap();
            let deb = folder.path().join(format!("{}_1-1_all.deb", package.name));
            let built = Command::new("dpkg-deb").arg("-b").arg(&tree).arg(deb).output().unwrap();
            assert!(built.status.success());
        }
        folder
    }

    #[test]
    fn a_package_version_without_a_photograph_is_refused() {
        if Command::new("dpkg-deb").arg("--version").output().is_err() {
            return;
        }
        let (out, debs) = (tempfile::tempdir().unwrap(), empty_packages());
        let error = fetch(out.path(), Some(debs.path())).unwrap_err();
        assert!(matches!(error, TrainingError::Package(PackageError::MissingPhoto { .. })), "{error}");
        let error = error.to_string();
        assert!(error.contains("9:1-1") && error.contains("20.04.0-2"), "{error}");
        let remaining = fs::read_dir(out.path()).unwrap().count();
        assert_eq!(remaining, 0, "the unpacked packages were left behind");
    }

    #[test]
    fn the_provenance_table_names_every_origin() {
        let out = tempfile::tempdir().unwrap();
        let photo = all_photos().find(|photo| photo.name == "plasma-Kite.jpg").unwrap();
        let row = Provenance {
            file: "train/plasma-Kite.jpg".into(),
            photo,
            version: "4:5.27.5-2".into(),
            sha256: Digest::of(b""),
            width: 2560,
            height: 1600,
        };
        write_provenance(&[row], out.path()).unwrap();
        let text = fs::read_to_string(out.path().join(PROVENANCE_FILE)).unwrap();
        assert_eq!(
            text,
            "file,package,version,licence,path,sha256,width,height\n\
             train/plasma-Kite.jpg,plasma-workspace-wallpapers,4:5.27.5-2,GPL-2+,\
             usr/share/wallpapers/Kite/contents/images/2560x1600.jpg,\
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855,2560,1600\n"
        );
    }
}
