//! The run of a head on one image, tile by tile.

use std::sync::Arc;

use tokio::{
    sync::SemaphorePermit,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    canvas::{Canvas, CanvasFormat},
    codec::ImageCodec,
    feature_maps::FeatureMaps,
    head::ServedImageHead,
    pace::PixelReservation,
    tiles::Tile,
};
use crate::{
    DecodeError, OutputValue, RequestOptions,
    memory_budget::{MemoryPermit, run_with_permit},
    model::{BatchSlice, InferenceInput},
};

/// One image and the head that computes it.
pub(super) struct HeadRun<'a> {
    pub(super) codec: &'a Arc<ImageCodec>,
    pub(super) head: &'a Arc<ServedImageHead>,
    pub(super) maps: &'a Arc<FeatureMaps>,
    pub(super) options: RequestOptions,
    /// The share of the memory budget, held by all work until it ends.
    pub(super) permit: &'a Arc<MemoryPermit>,
}

impl HeadRun<'_> {
    /// Computes the image. If the future is dropped, no further tile is computed, and the run of the current one is
    /// ended.
    ///
    /// # Errors
    /// [`DecodeError::Overloaded`], [`DecodeError::DeadlineExceeded`] or [`DecodeError::Internal`].
    pub(super) async fn compute(
        &self,
        format: CanvasFormat,
        reservation: &mut PixelReservation,
    ) -> Result<OutputValue, DecodeError> {
        let head = &self.head.spec;
        let plan = self.codec.plan_tiles(self.maps.header, &head.entry, head.tile_margin, None);
        let mut canvas = self.codec.new_canvas(self.maps.header, &head.entry, format);
        let tiles: Vec<Tile> = plan.tiles().collect();
        let is_large = tiles.len() > 1;
        for (number, tile) in tiles.into_iter().enumerate() {
            let pixels = tile.computed_blocks() * self.codec.block_pixels();
            let tile = Arc::new(tile);
            let input = self.cut_tile(&tile).await?;
            let turn = if is_large { Some(self.wait_for_turn().await?) } else { None };
            let slice = self.run_tile(input, number == 0).await?;
            drop(turn);
            head.pace.record(pixels, slice.infer_time());
            reservation.complete(pixels);
            canvas = self.paste_tile(canvas, tile, slice).await?;
        }
        run_with_permit(Arc::clone(self.permit), move || canvas.into_output()).await?
    }

    /// Dequantises the layers of a tile on a blocking thread.
    async fn cut_tile(&self, tile: &Arc<Tile>) -> Result<InferenceInput, DecodeError> {
        let (codec, head, maps) = (Arc::clone(self.codec), Arc::clone(self.head), Arc::clone(self.maps));
        let tile = Arc::clone(tile);
        let cut = move || codec.tile_input(&maps, &tile, &head.spec.entry);
        let input = run_with_permit(Arc::clone(self.permit), cut).await?;
        input.map_err(|error| DecodeError::Internal(error.to_string()))
    }

    /// Waits until a tile of a large image may be queued.
    async fn wait_for_turn(&self) -> Result<SemaphorePermit<'_>, DecodeError> {
        let turn = timeout_at(self.options.deadline.into(), self.head.spec.large_tiles.acquire()).await;
        let turn = turn.map_err(|_| DecodeError::DeadlineExceeded)?;
        turn.map_err(|error| DecodeError::Internal(error.to_string()))
    }

    /// Runs the head on a tile. A full queue refuses the first tile. Later ones wait until the deadline, because work
    /// was already done for the request.
    async fn run_tile(&self, input: InferenceInput, is_first: bool) -> Result<BatchSlice, DecodeError> {
        let engine = &self.head.engine;
        let permit = loop {
            match engine.admit(input.items(), input.size_bytes(), self.options) {
                Err(DecodeError::Overloaded { retry_after, .. }) if !is_first => {
                    let deadline = Instant::from(self.options.deadline);
                    sleep_until(deadline.min(Instant::now() + retry_after)).await;
                }
                result => break result?,
            }
        };
        self.head.run_cancellable(permit, input, self.options).await
    }

    /// Writes a tile into the image on a blocking thread.
    async fn paste_tile(
        &self,
        mut canvas: Canvas,
        tile: Arc<Tile>,
        slice: BatchSlice,
    ) -> Result<Canvas, DecodeError> {
        let (codec, head, header) = (Arc::clone(self.codec), Arc::clone(self.head), self.maps.header);
        let paste = move || {
            let (place, raster) = codec.tile_raster(header, &head.spec.entry, &tile, &slice);
            canvas.paste(place, raster).map(|()| canvas)
        };
        run_with_permit(Arc::clone(self.permit), paste).await?
    }
}
