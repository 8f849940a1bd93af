//! A head of an image codec: its entry in the manifest, and what was found when it was loaded.

use std::sync::Arc;

use lopside_bundle::{Digest, image_codec::ImageCodecHeadSpec};
use tokio::sync::Semaphore;

use super::pace::PixelPace;
use crate::{
    heads::{HeadSpec, ServedHead, VersionedHead, entry_digest},
    output::OutputKind,
};

/// A head of an image codec.
#[derive(Debug)]
pub struct ImageHead {
    /// The head's entry in the manifest.
    pub entry: ImageCodecHeadSpec,
    /// The margin of its tiles, in blocks of the coarsest stride; `None` if it must run on whole images.
    pub(super) tile_margin: Option<u32>,
    /// Its measured time per pixel, and the pixels that it has still to compute.
    pub(super) pace: Arc<PixelPace>,
    /// The tiles of large images that may be queued at the same time: one per session, so that they take turns and
    /// leave most of the queue to smaller images.
    pub(super) large_tiles: Semaphore,
    pub(super) instances: usize,
}

/// A head of an image codec with its engine.
pub(super) type ServedImageHead = ServedHead<ImageHead>;

impl ImageHead {
    /// Creates the head with this number of sessions.
    pub(super) fn new(entry: ImageCodecHeadSpec, tile_margin: Option<u32>, instances: usize) -> Self {
        let instances = instances.max(1);
        Self {
            entry,
            tile_margin,
            pace: Arc::default(),
            large_tiles: Semaphore::new(instances.min(Semaphore::MAX_PERMITS)),
            instances,
        }
    }

    /// Returns the time that the head needs per megapixel of the encoded image, in seconds, as measured in its last
    /// runs; `None` before the first one.
    #[must_use]
    pub fn seconds_per_megapixel(&self) -> Option<f64> {
        self.pace.seconds_per_megapixel()
    }
}

impl VersionedHead for ImageHead {
    fn name(&self) -> &str {
        &self.entry.name
    }

    fn version(&self) -> u32 {
        self.entry.version
    }
}

impl HeadSpec for ImageHead {
    fn output_kind(&self) -> OutputKind {
        OutputKind::Images
    }

    fn digest(&self) -> Digest {
        entry_digest(&self.entry, &self.entry.model.sha256)
    }
}
