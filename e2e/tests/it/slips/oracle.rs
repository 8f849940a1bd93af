//! What must be true after every slip:
//!
//! - Each frame that an agent reports as delivered is in the archive, or is reported as lost.
//! - Nothing else is missing: `produced = archived + dropped (by reason) + pending + lost`.
//! - Each archived frame is that of an image which was put into an inbox, and no image is archived twice.

use edge_encoder::agent::{AgentReport, ClassReport};
use lopside_archive::{Archive, FrameQuery, MAX_PAGE_FRAMES, Settings};

use super::pictures::frames;

/// The counts of a device's spool, summed over its classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) produced: u64,
    pub(super) delivered: u64,
    pub(super) lost: u64,
    pub(super) pending: u64,
    pub(super) in_doubt: u64,
    pub(super) evicted: u64,
    pub(super) refused: u64,
    pub(super) damaged: u64,
}

impl Counts {
    /// Sums the counts of a status report.
    pub(super) fn sum(report: &AgentReport) -> Self {
        let sum = |field: fn(&ClassReport) -> u64| report.spool.classes.iter().map(field).sum::<u64>();
        Self {
            produced: sum(|class| class.produced),
            delivered: sum(|class| class.delivered),
            lost: sum(|class| class.lost),
            pending: sum(|class| class.pending),
            in_doubt: sum(|class| class.in_doubt),
            evicted: sum(|class| class.evicted),
            refused: sum(|class| class.refused),
            damaged: sum(|class| class.damaged),
        }
    }

    /// Checks the counts of a spool of whose frames `archived` are in the archive.
    pub(super) fn check(&self, archived: u64) {
        let dropped = self.evicted + self.refused + self.damaged;
        assert_eq!(self.in_doubt, 0, "{self:?}");
        assert_eq!(self.delivered, archived + self.lost, "delivered = archived + lost: {self:?}");
        assert_eq!(
            self.produced,
            archived + dropped + self.pending + self.lost,
            "produced = archived + dropped + pending + lost: {self:?}"
        );
    }
}

/// The contents of an archive.
pub(super) struct Archived {
    devices: Vec<lopside_archive::Device>,
    /// The device and the bytes of each frame.
    frames: Vec<(String, Vec<u8>)>,
}

impl Archived {
    /// Reads the archive at this address. Its server must have ended.
    pub(super) async fn read(url: &str) -> Self {
        let archive = Archive::open(url, Settings::default()).await.unwrap();
        let devices = archive.devices().await.unwrap();
        let query = FrameQuery { limit: MAX_PAGE_FRAMES, ..FrameQuery::default() };
        let page = archive.list_frames(&query).await.unwrap();
        assert_eq!(page.next, None, "the tests archive fewer frames than a page has");
        let mut frames = Vec::with_capacity(page.frames.len());
        for meta in page.frames {
            let frame = archive.read_frame(meta.id).await.unwrap().unwrap();
            frames.push((meta.device.to_string(), frame.bytes));
        }
        archive.close().await;
        Self { devices, frames }
    }

    /// Checks that the archive has the frames of exactly these images of a device, in ascending order, each once.
    pub(super) fn check_images(&self, device: &str, expected: impl IntoIterator<Item = usize>) {
        let of_device = self.frames.iter().filter(|(name, _)| name == device);
        let mut images: Vec<usize> = of_device.map(|(_, bytes)| find_image(bytes)).collect();
        images.sort_unstable();
        let expected: Vec<usize> = expected.into_iter().collect();
        assert_eq!(images, expected, "the archived images of {device}");
    }

    /// Returns the entry of a device in the list of devices.
    pub(super) fn device(&self, name: &str) -> &lopside_archive::Device {
        let device = self.devices.iter().find(|device| device.name == name);
        device.unwrap_or_else(|| panic!("{name} is not in the list of devices: {:?}", self.devices))
    }
}

/// Returns the number of the image that a frame was made of.
fn find_image(frame: &[u8]) -> usize {
    frames().iter().position(|expected| expected == frame).expect("an archived frame belongs to an image")
}
