//! The photographs of Debian 12 for training and evaluation of the image codec.
//!
//! Drawings, logos and screenshots in the same packages are left out, because their edges and flat areas
//! differ from camera images. Licences are those of each package's `usr/share/doc/PACKAGE/copyright`. Two
//! packages contain a different statement beside the images: `LGPLv3` in plasma's `metadata.json`,
//! `CC-BY-SA-3.0` in lxqt's `wallpapers/License`. None of the files is part of this repository.

/// The purpose of a photograph, which also determines its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhotoPurpose {
    /// Training and validation.
    Train,
    /// Evaluation: lossless images that are never used for training.
    Test,
}

impl PhotoPurpose {
    /// Returns the folder's name.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

/// A Debian package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DebianPackage {
    /// The package's name in apt.
    pub name: &'static str,
    /// The version that the list was made from, epoch included.
    pub version: &'static str,
    /// Prefix of the names of its photographs.
    pub file_prefix: &'static str,
    /// The purpose of its photographs.
    pub purpose: PhotoPurpose,
}

/// Photographs of one package with one licence in one folder.
#[derive(Debug, Clone, Copy)]
pub struct PhotoGroup {
    /// The package.
    pub package: &'static DebianPackage,
    /// The licence's short name.
    pub licence: &'static str,
    /// The path in the package, with `*` in place of the name.
    pub path: &'static str,
    /// The names of the photographs.
    pub names: &'static [&'static str],
}

/// One photograph of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePhoto {
    /// The package that contains it.
    pub package: &'static DebianPackage,
    /// The licence's short name.
    pub licence: &'static str,
    /// The path in the package.
    pub path: String,
    /// The unique file name, like `plasma-Kite.jpg`.
    pub name: String,
}

/// All packages.
pub const PACKAGES: [&DebianPackage; 5] = [&LOMIRI, &MATE, &LXQT, &PLASMA, &LIBJXL];

/// Returns all photographs, package after package.
pub fn all_photos() -> impl Iterator<Item = SourcePhoto> {
    GROUPS.iter().flat_map(|group| group.names.iter().map(|name| group.source_photo(name)))
}

impl PhotoGroup {
    fn source_photo(&self, name: &str) -> SourcePhoto {
        let extension = self.path.rsplit('.').next().unwrap_or_default();
        SourcePhoto {
            package: self.package,
            licence: self.licence,
            path: self.path.replace('*', name),
            name: format!("{}-{name}.{extension}", self.package.file_prefix),
        }
    }
}

const LOMIRI: DebianPackage = DebianPackage {
    name: "lomiri-wallpapers-16.04",
    version: "20.04.0-2",
    file_prefix: "lomiri",
    purpose: PhotoPurpose::Train,
};
const MATE: DebianPackage = DebianPackage {
    name: "mate-backgrounds",
    version: "1.26.0-1",
    file_prefix: "mate",
    purpose: PhotoPurpose::Train,
};
const LXQT: DebianPackage = DebianPackage {
    name: "lxqt-themes",
    version: "1.2.0-1",
    file_prefix: "lxqt",
    purpose: PhotoPurpose::Train,
};
const PLASMA: DebianPackage = DebianPackage {
    name: "plasma-workspace-wallpapers",
    version: "4:5.27.5-2",
    file_prefix: "plasma",
    purpose: PhotoPurpose::Train,
};
const LIBJXL: DebianPackage = DebianPackage {
    name: "libjxl-testdata",
    version: "0.0~git20230110.d6168ff-1",
    file_prefix: "libjxl",
    purpose: PhotoPurpose::Test,
};

const GROUPS: [PhotoGroup; 9] = [
    PhotoGroup {
        package: &LOMIRI,
        licence: "CC-BY-4.0",
        path: "usr/share/backgrounds/*.jpg",
        names: &[
            "aitzgorri_by_Aitzol_Berasategi",
            "friends_by_Aitzol_Berasategi",
            "life_by_Aitzol_Berasategi",
            "picosdeeuropa_by_Aitzol_Berasategi",
            "Picture_0B_by_freespace",
            "Picture_1A_by_freespace",
            "sunset_by_Aitzol_Berasategi",
            "Wine_by_Jakkub_Mede",
        ],
    },
    PhotoGroup {
        package: &LOMIRI,
        licence: "CC-BY-SA-4.0",
        path: "usr/share/backgrounds/*.jpg",
        names: &[
            "Bridge_by_Sander_Klootwijk",
            "Dragonfly_by_Bolly",
            "free_by_Peter_Nerlich",
            "greentock_by_Peter_Nerlich",
        ],
    },
    PhotoGroup {
        package: &LOMIRI,
        licence: "CC0-1.0",
        path: "usr/share/backgrounds/*.jpg",
        names: &["seeding_by_Clements_Engelhardt"],
    },
    PhotoGroup {
        package: &MATE,
        licence: "GPL-2+",
        path: "usr/share/backgrounds/mate/nature/*.jpg",
        names: &[
            "Aqua",
            "Blinds",
            "Dune",
            "FreshFlower",
            "Garden",
            "GreenMeadow",
            "LadyBird",
            "RainDrops",
            "Storm",
            "TwoWings",
            "Wood",
            "YellowFlower",
        ],
    },
    PhotoGroup {
        package: &LXQT,
        licence: "LGPL-2.1+",
        path: "usr/share/lxqt/wallpapers/*.jpg",
        names: &["after-the-rain", "Butterfly-Kenneth-Wimer", "fog", "this-is-not-windows"],
    },
    PhotoGroup {
        package: &LXQT,
        licence: "LGPL-2.1+",
        path: "usr/share/lxqt/wallpapers/*.png",
        names: &["appleflower", "beam", "butterfly", "cloud", "drop", "flowers", "Valendas"],
    },
    PhotoGroup {
        package: &PLASMA,
        licence: "GPL-2+",
        path: "usr/share/wallpapers/*/contents/images/2560x1600.jpg",
        names: &[
            "BytheWater",
            "ColdRipple",
            "ColorfulCups",
            "DarkestHour",
            "EveningGlow",
            "FallenLeaf",
            "Grey",
            "Kite",
            "OneStandsOut",
            "Path",
            "summer_1am",
        ],
    },
    PhotoGroup {
        package: &LIBJXL,
        licence: "BSD-3-Clause",
        path: "usr/share/libjxl-testdata/jxl/flower/*.png",
        names: &["flower"],
    },
    PhotoGroup {
        package: &LIBJXL,
        licence: "CC0-1.0",
        path: "usr/share/libjxl-testdata/external/wesaturate/500px/*_srgb8.png",
        names: &["cvo9xd_keong_macan", "tmshre_riaphotographs", "u76c0g_bliznaca"],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_even_where_case_is_ignored() {
        let names: HashSet<String> = all_photos().map(|photo| photo.name.to_lowercase()).collect();
        assert_eq!(names.len(), all_photos().count());
        assert_eq!(all_photos().filter(|photo| photo.package.purpose == PhotoPurpose::Train).count(), 47);
        assert_eq!(all_photos().filter(|photo| photo.package.purpose == PhotoPurpose::Test).count(), 4);
    }

    #[test]
    fn names_are_flat_and_paths_are_whole() {
        for photo in all_photos() {
            assert!(!photo.name.contains('/') && !photo.path.contains('*'), "{photo:?}");
        }
        assert!(all_photos().any(|photo| photo.name == "plasma-Kite.jpg"
            && photo.path == "usr/share/wallpapers/Kite/contents/images/2560x1600.jpg"));
    }

    #[test]
    fn nothing_needs_quotes_in_a_csv_file() {
        for photo in all_photos() {
            let row = [photo.name.as_str(), &photo.path, photo.licence, photo.package.name];
            assert!(!row.concat().contains([',', '"', '\n']), "{photo:?}");
        }
    }
}
