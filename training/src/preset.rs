//! What is trained: the presets.

use clap::ValueEnum;
use lopside_bundle::{Channels, PictureSpec};
use serde::{Deserialize, Serialize};

/// A model and its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The worked example: 784 → 256 → 32 at the edge, 32 → 128 → 256 → 784 in the cloud, on Fashion-MNIST
    FashionDense,
}

impl Preset {
    /// Its name on the command line and in folders.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FashionDense => "fashion-dense",
        }
    }

    /// The name of the bundle it makes.
    #[must_use]
    pub const fn bundle_name(self) -> &'static str {
        match self {
            Self::FashionDense => "fashion",
        }
    }

    /// One line for people.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::FashionDense => "28×28 grey pictures of clothes in 32 integers (Fashion-MNIST)",
        }
    }

    /// Widths of the encoder, input first, latent last.
    #[must_use]
    pub const fn encoder_widths(self) -> &'static [usize] {
        match self {
            Self::FashionDense => &[784, 256, 32],
        }
    }

    /// Widths of the decoder, latent first, output last.
    #[must_use]
    pub const fn decoder_widths(self) -> &'static [usize] {
        match self {
            Self::FashionDense => &[32, 128, 256, 784],
        }
    }

    /// How pictures become the encoder's input.
    #[must_use]
    pub fn picture(self) -> PictureSpec {
        match self {
            Self::FashionDense => PictureSpec::uniform(28, 28, Channels::Grey, 0.0, 1.0),
        }
    }
}
