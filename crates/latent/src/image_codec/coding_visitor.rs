use crate::{LatentError, coder::Coder};

use super::{ContextModel, PlaneVisitor};

/// A visitor that codes one channel.
pub(super) struct CodingVisitor<'a, C> {
    pub(super) coder: &'a mut C,
    pub(super) model: &'a ContextModel,
    pub(super) layer: usize,
    /// The index of the channel, counted over all layers.
    pub(super) channel: usize,
    /// Whether the previous channel of the layer is zero.
    pub(super) after_zero: bool,
}

impl<C: Coder> PlaneVisitor for CodingVisitor<'_, C> {
    #[inline]
    fn visit_plane(&mut self, zero: &mut bool) -> Result<(), LatentError> {
        let odds = self.model.channels()[self.channel].zero_plane_odds;
        self.coder.flag(zero, odds[usize::from(self.after_zero)])
    }

    #[inline]
    fn visit_row(&mut self, class: usize, zero: &mut bool) -> Result<(), LatentError> {
        self.coder.flag(zero, self.model.zero_row_odds(self.layer, class))
    }

    #[inline]
    fn visit_value(&mut self, class: usize, value: &mut i32) -> Result<(), LatentError> {
        self.coder.code(value, self.model.table(self.channel, class))
    }
}
