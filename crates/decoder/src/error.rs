//! The errors of the decoder: [`LoadError`] when bundles are loaded, [`DecodeError`] when they are used.

use std::{path::PathBuf, time::Duration};

use lopside_bundle::BundleError;
use lopside_latent::{LatentError, LatentSpaceId};

/// An error that keeps ONNX Runtime or a bundle from being loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A folder neither is nor contains a bundle, but something else.
    #[error(
        "{} neither is nor contains a bundle: give a folder with a bundle.json, or a folder of such folders",
        path.display()
    )]
    NoBundle {
        /// Path of the folder.
        path: PathBuf,
    },
    /// A bundle cannot be loaded.
    #[error("{}: {source}", path.display())]
    Bundle {
        /// Path of the bundle's folder.
        path: PathBuf,
        /// The cause.
        source: BundleError,
    },
    /// No bundle can be served, and at least one was refused.
    #[error("no bundle can be served: {}", reasons.join("; "))]
    NothingLoaded {
        /// The reason of each refusal.
        reasons: Vec<String>,
    },
    /// Two bundles have the same name and version.
    #[error("two bundles are named {name:?}: rename one in its bundle.json")]
    DuplicateBundle {
        /// The name of both bundles.
        name: String,
    },
    /// ONNX Runtime cannot be loaded.
    #[error(
        "cannot load ONNX Runtime from {}: {reason}; name the library with --onnxruntime or ORT_DYLIB_PATH \
         (PyPI's onnxruntime wheel contains it in onnxruntime/capi)",
        path.display()
    )]
    Library {
        /// Path of the library.
        path: PathBuf,
        /// The loader's error message.
        reason: String,
    },
    /// CUDA is required and not available.
    #[error("--device cuda cannot be used: {0}; use --device auto to fall back to the CPU")]
    CudaUnavailable(String),
    /// A head's model was refused by ONNX Runtime or does not match its manifest.
    #[error("bundle {bundle:?}, head {head:?}: {reason}")]
    Head {
        /// The name of the bundle.
        bundle: String,
        /// The name of the head.
        head: String,
        /// The reason.
        reason: String,
    },
}

/// The reason why frames were not decoded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The request is invalid.
    #[error("{0}")]
    InvalidRequest(String),
    /// A frame was refused.
    #[error("frame {index}: {source}")]
    InvalidFrame {
        /// The index of the frame in the request, from 0.
        index: usize,
        /// The cause.
        source: LatentError,
    },
    /// The image of a frame is larger than this server decodes.
    #[error(
        "frame {index}: {source}: scale the image down on the device, or start the server with a larger --max-megapixels"
    )]
    ImageTooLarge {
        /// The index of the frame in the request, from 0.
        index: usize,
        /// The size that is over its limit.
        source: LatentError,
    },
    /// A frame of a fixed latent was sent to an image codec, or the reverse.
    #[error("frame {index} has version {found}, but bundle {bundle:?} accepts frames of version {expected}")]
    WrongFrameVersion {
        /// The index of the frame in the request, from 0.
        index: usize,
        /// The version of the frame.
        found: u8,
        /// The name of the bundle.
        bundle: String,
        /// The frame version that the bundle accepts.
        expected: u8,
    },
    /// No served bundle has this latent space.
    #[error("no bundle of latent space {0} is served here")]
    UnknownLatentSpace(LatentSpaceId),
    /// No served bundle has this name.
    #[error("no bundle {0:?} is served here")]
    UnknownBundle(String),
    /// A bundle that a client requested to load cannot be served.
    #[error("bundle {bundle:?} was refused: {reason}")]
    BundleRefused {
        /// The name of the bundle.
        bundle: String,
        /// The reason.
        reason: String,
    },
    /// The bundle does not have this head.
    #[error("bundle {bundle:?} has no head {head:?}; it has {known}")]
    UnknownHead {
        /// The name of the bundle.
        bundle: String,
        /// The name of the requested head.
        head: String,
        /// The names of the existing heads.
        known: String,
    },
    /// The head's queue is full or too long for the request's deadline, or too many requests wait for the
    /// memory budget.
    #[error("head {head:?} is overloaded: try again in {} ms", retry_after.as_millis())]
    Overloaded {
        /// The name of the head.
        head: String,
        /// The recommended delay before a retry.
        retry_after: Duration,
    },
    /// The work of the request alone takes longer than the time until its deadline, so that a retry with the same
    /// time cannot succeed.
    #[error(
        "head {head:?} takes about {} ms for the {items} items of the request, but its deadline is in {} ms: allow \
         more time (--timeout of edge-encoder, the header lopside-timeout-ms, or --request-timeout-ms of the server), or \
         send fewer or smaller items",
        expected.as_millis(),
        time_left.as_millis()
    )]
    DeadlineTooShort {
        /// The name of the head.
        head: String,
        /// Number of items of the request.
        items: usize,
        /// The expected time of the work.
        expected: Duration,
        /// The time until the deadline.
        time_left: Duration,
    },
    /// The deadline passed before the result was ready.
    #[error("the deadline passed while the request waited")]
    DeadlineExceeded,
    /// An internal error; the reason is only for the log.
    #[error("internal error")]
    Internal(String),
}

impl DecodeError {
    /// Returns the error for a frame that a bundle refused; `expected` is the frame version that the bundle
    /// accepts.
    pub(crate) fn from_frame_error(index: usize, source: LatentError, bundle: &str, expected: u8) -> Self {
        match source {
            LatentError::Version { found: found @ 1..=2 } => {
                Self::WrongFrameVersion { index, found, bundle: bundle.to_owned(), expected }
            }
            LatentError::Limit { what, .. } if what.contains("pixels") => {
                Self::ImageTooLarge { index, source }
            }
            source => Self::InvalidFrame { index, source },
        }
    }
}
