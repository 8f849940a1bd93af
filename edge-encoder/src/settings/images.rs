//! The keys that decide how images are read.

// Doc comments here are the help text, where backticks would be noise.
#![allow(clippy::doc_markdown)]

use std::str::FromStr;

use clap::{Args, ValueEnum};
use lopside_encoder::{DamagedImages, ImagePolicy};
use merge::Merge;
use serde::Deserialize;

/// The key `background`.
#[derive(Debug, Clone, Copy, Default, Args, Deserialize, Merge)]
#[serde(transparent)]
#[merge(strategy = merge::option::overwrite_none)]
pub struct BackgroundArg {
    /// Colour behind transparent pixels [default: white]
    #[arg(long, env = "LOPSIDE_BACKGROUND", value_name = "#RRGGBB")]
    pub background: Option<Colour>,
}

/// The key `damaged_images`.
#[derive(Debug, Clone, Copy, Default, Args, Deserialize, Merge)]
#[serde(transparent)]
#[merge(strategy = merge::option::overwrite_none)]
pub struct DamagedImagesArg {
    /// What to do with images whose data is cut off or damaged [default: refuse]
    #[arg(long, env = "LOPSIDE_DAMAGED_IMAGES", value_name = "CHOICE")]
    pub damaged_images: Option<DamagedImagesChoice>,
}

/// A colour in sRGB, written as `#rrggbb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Colour(pub [u8; 3]);

/// The treatment of images whose data is cut off or damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DamagedImagesChoice {
    /// Refuse them
    Refuse,
    /// Read them as far as possible, and mark their frames as damaged
    Mark,
}

impl FromStr for Colour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text
            .strip_prefix('#')
            .filter(|digits| digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let [_, red, green, blue] = number.map(u32::to_be_bytes).ok_or_else(|| {
            format!("{text:?} is not a colour: write #rrggbb in hexadecimal digits, such as #ffffff")
        })?;
        Ok(Self([red, green, blue]))
    }
}

impl TryFrom<String> for Colour {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Returns the rules by which images are read.
pub(crate) fn image_policy(background: BackgroundArg, damaged: DamagedImagesArg) -> ImagePolicy {
    let default = ImagePolicy::default();
    let damaged = match damaged.damaged_images {
        Some(DamagedImagesChoice::Mark) => DamagedImages::Mark,
        Some(DamagedImagesChoice::Refuse) | None => DamagedImages::Refuse,
    };
    let background = background.background.map_or(default.background, |Colour(colour)| colour);
    ImagePolicy { background, damaged, ..default }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_has_six_hexadecimal_digits() {
        assert_eq!("#0A10ff".parse(), Ok(Colour([10, 16, 255])));
        for text in ["white", "#fffffff", "#fff", "ffffff", "#+fffff", "#é000"] {
            let error = text.parse::<Colour>().unwrap_err();
            assert!(error.contains(text) && error.contains("#rrggbb"), "{error}");
        }
    }

    #[test]
    fn damaged_images_are_refused_unless_they_are_to_be_marked() {
        let policy = |damaged_images| {
            let background = BackgroundArg { background: Some(Colour([1, 2, 3])) };
            image_policy(background, DamagedImagesArg { damaged_images })
        };
        assert_eq!((policy(None).damaged, policy(None).background), (DamagedImages::Refuse, [1, 2, 3]));
        assert_eq!(policy(Some(DamagedImagesChoice::Refuse)).damaged, DamagedImages::Refuse);
        assert_eq!(policy(Some(DamagedImagesChoice::Mark)).damaged, DamagedImages::Mark);
        let default = image_policy(BackgroundArg::default(), DamagedImagesArg::default());
        assert_eq!(default, ImagePolicy::default());
    }
}
