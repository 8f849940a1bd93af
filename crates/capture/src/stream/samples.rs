//! Raw images, one directly after the other: each has the same number of bytes.

use super::{
    RawLayout,
    split::{SplitItem, StreamSplitter},
};
use crate::CapturedImage;

impl StreamSplitter for RawLayout {
    fn split(&mut self, bytes: &[u8]) -> SplitItem {
        if bytes.len() < self.image_bytes() {
            SplitItem::NeedsMore
        } else {
            SplitItem::Complete(self.image_bytes())
        }
    }

    fn give_up(&mut self, bytes: &[u8], _has_ended: bool) -> SplitItem {
        SplitItem::Damaged(bytes.len())
    }

    fn image(&self, bytes: &[u8]) -> CapturedImage {
        CapturedImage::from_raw(*self, bytes.to_vec())
    }
}
