use crate::{Frame, IdOnWire, LatentError, LatentSpaceId, Limits, Quantiser, Shape, Tables, coder};

/// What an encoder and its quantiser define: the shape of a latent, its quantiser and its entropy tables. Two
/// hosts with the same latent space read each other's frames.
#[derive(Debug, Clone, PartialEq)]
pub struct LatentSpace {
    id: LatentSpaceId,
    shape: Shape,
    quantiser: Quantiser,
    tables: Tables,
}

impl LatentSpace {
    /// Puts a latent space together: one gain and one table a value of the shape.
    ///
    /// # Errors
    /// [`LatentError::Count`] when there are more or fewer gains or tables than values.
    pub fn new(
        id: LatentSpaceId,
        shape: Shape,
        quantiser: Quantiser,
        tables: Tables,
    ) -> Result<Self, LatentError> {
        for (what, found) in
            [("list of gains", quantiser.gains().len()), ("list of tables", tables.as_slice().len())]
        {
            if found as u128 != shape.elements() {
                let expected = usize::try_from(shape.elements()).unwrap_or(usize::MAX);
                return Err(LatentError::Count { what, found, expected });
            }
        }
        Ok(Self { id, shape, quantiser, tables })
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> LatentSpaceId {
        self.id
    }

    /// The shape of one latent, without the batch.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The frame of a latent `z`, values in the order of [`shape`](Self::shape), row-major.
    ///
    /// # Errors
    /// [`LatentError::Count`] or [`LatentError::NotFinite`] when `z` is no latent of this space.
    pub fn encode(&self, z: &[f32], id: IdOnWire) -> Result<Vec<u8>, LatentError> {
        self.encode_integers(&self.quantiser.quantise(z)?, id)
    }

    /// The frame of a latent that is already quantised.
    ///
    /// # Errors
    /// [`LatentError::Count`] when there are more or fewer integers than values.
    pub fn encode_integers(&self, integers: &[i32], id: IdOnWire) -> Result<Vec<u8>, LatentError> {
        let (found, expected) = (integers.len(), self.tables.as_slice().len());
        if found != expected {
            return Err(LatentError::Count { what: "list of integers", found, expected });
        }
        let payload = coder::encode(integers, &self.tables)?;
        Ok(Frame { latent_space: self.id, shape: self.shape, payload: &payload }.to_bytes(id))
    }

    /// The integers of a frame of this latent space.
    ///
    /// # Errors
    /// Any of the frame's [errors](Frame::parse), [`LatentError::OtherLatentSpace`],
    /// [`LatentError::OtherShape`], or [`LatentError::Payload`].
    pub fn decode(&self, frame: &[u8], limits: &Limits) -> Result<Vec<i32>, LatentError> {
        let frame = Frame::parse(frame, limits, Some(self.id))?;
        if frame.latent_space != self.id {
            return Err(LatentError::OtherLatentSpace { found: frame.latent_space, expected: self.id });
        }
        if frame.shape != self.shape {
            return Err(LatentError::OtherShape { found: frame.shape, expected: self.shape });
        }
        coder::decode(frame.payload, &self.tables)
    }

    /// The latent that stands for these integers.
    ///
    /// # Errors
    /// [`LatentError::Count`] when there are more or fewer integers than values.
    pub fn dequantise(&self, integers: &[i32]) -> Result<Vec<f32>, LatentError> {
        self.quantiser.dequantise(integers)
    }

    /// The entropy tables.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The quantiser.
    #[must_use]
    pub fn quantiser(&self) -> &Quantiser {
        &self.quantiser
    }
}
