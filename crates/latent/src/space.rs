use crate::{
    FixedLatentFrame, IdOnWire, LatentError, LatentSpaceId, Limits, Quantiser, Shape, Table, Tables, coder,
};

/// Maximum number of layers of a latent.
const MAX_LAYERS: usize = 16;

/// A latent space, as defined by an encoder and its quantiser: the layers of a latent, their quantisers and
/// their entropy tables. Two hosts with the same latent space can read each other's frames.
///
/// The first layer is the base layer, the others are enhancement layers. In this crate a latent is the
/// concatenation of its layers' values. A frame may omit the last layers, but never the base layer.
#[derive(Debug, Clone, PartialEq)]
pub struct FixedLatentSpace {
    id: LatentSpaceId,
    layers: Vec<LatentLayer>,
    /// The wire shapes of the first layer, of the first two layers, and so on.
    shapes: Vec<Shape>,
    tables: Tables,
}

/// One tensor of a latent.
#[derive(Debug, Clone, PartialEq)]
pub struct LatentLayer {
    /// The shape without the batch; values are row-major.
    pub shape: Shape,
    /// One gain and one table per run of consecutive values: as many runs as gains, all of equal length. A
    /// layer of feature maps `[c, h, w]` with `c` gains has one run per map.
    pub quantiser: Quantiser,
}

impl LatentLayer {
    /// Returns the number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.shape.elements()).unwrap_or(usize::MAX)
    }

    /// Returns `false`, because a shape has at least one value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of values per run.
    fn run_len(&self) -> usize {
        self.len() / self.quantiser.gains().len().max(1)
    }
}

impl FixedLatentSpace {
    /// Creates a latent space. The tables are those of the runs of the first layer, then those of the second,
    /// and so on.
    ///
    /// # Errors
    /// Returns [`LatentError::Limit`] for zero or more than 16 layers, [`LatentError::UnevenRuns`] if a layer's
    /// gains do not divide its values evenly, [`LatentError::CountMismatch`] if the numbers of tables and gains
    /// differ, [`LatentError::BadShape`] for more than 2²⁴ values in several layers.
    pub fn new(id: LatentSpaceId, layers: Vec<LatentLayer>, tables: Tables) -> Result<Self, LatentError> {
        if !(1..=MAX_LAYERS).contains(&layers.len()) {
            let (found, limit) = (layers.len() as u64, MAX_LAYERS as u64);
            return Err(LatentError::Limit { what: "number of layers", found, limit });
        }
        for (index, layer) in layers.iter().enumerate() {
            let (values, gains) = (layer.len(), layer.quantiser.gains().len());
            if gains == 0 || values % gains != 0 {
                return Err(LatentError::UnevenRuns { index, values, gains });
            }
        }
        let expected = layers.iter().map(|layer| layer.quantiser.gains().len()).sum();
        let found = tables.as_slice().len();
        if found != expected {
            return Err(LatentError::CountMismatch { what: "list of tables", found, expected });
        }
        let shapes = wire_shapes(&layers)?;
        Ok(Self { id, layers, shapes, tables })
    }

    /// Returns the id of the latent space.
    #[must_use]
    pub fn id(&self) -> LatentSpaceId {
        self.id
    }

    /// Returns the layers, the base layer first.
    #[must_use]
    pub fn layers(&self) -> &[LatentLayer] {
        &self.layers
    }

    /// Returns the shape in a frame of all layers: for a single layer its own shape, for several the number
    /// of their values.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shapes[self.shapes.len() - 1]
    }

    /// Returns the number of values of all layers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.prefix_len(self.layers.len())
    }

    /// Returns `false`, because a layer has at least one value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of values of the first `layers` layers.
    #[must_use]
    pub fn prefix_len(&self, layers: usize) -> usize {
        self.layers.iter().take(layers).map(LatentLayer::len).sum()
    }

    /// Returns the number of layers whose values add up to `values`; `None` if they are not exactly the first
    /// layers.
    #[must_use]
    pub fn layer_count_of(&self, values: usize) -> Option<usize> {
        (1..=self.layers.len()).find(|&layers| self.prefix_len(layers) == values)
    }

    /// Encodes a latent `z` of one or more layers to a frame.
    ///
    /// # Errors
    /// Returns [`LatentError::CountMismatch`] or [`LatentError::NotFinite`] if `z` is not a latent of this space.
    pub fn encode(&self, z: &[f32], id: IdOnWire) -> Result<Vec<u8>, LatentError> {
        self.encode_integers(&self.quantise(z)?, id)
    }

    /// Encodes a quantised latent to a frame.
    ///
    /// # Errors
    /// Returns [`LatentError::CountMismatch`] if the integers are not exactly those of the first layers.
    pub fn encode_integers(&self, integers: &[i32], id: IdOnWire) -> Result<Vec<u8>, LatentError> {
        let layers = self.check_len("list of integers", integers.len())?;
        let payload = coder::encode_payload(integers, self.tables_of(layers))?;
        Ok(FixedLatentFrame { latent_space: self.id, shape: self.shapes[layers - 1], payload: &payload }
            .to_bytes(id))
    }

    /// Decodes a frame of this latent space to the integers of the layers that it carries.
    ///
    /// # Errors
    /// Returns any of the frame's [errors](FixedLatentFrame::parse), [`LatentError::LatentSpaceMismatch`],
    /// [`LatentError::ShapeMismatch`], or [`LatentError::Payload`].
    pub fn decode(&self, frame: &[u8], limits: &Limits) -> Result<Vec<i32>, LatentError> {
        let frame = FixedLatentFrame::parse(frame, limits, Some(self.id))?;
        if frame.latent_space != self.id {
            return Err(LatentError::LatentSpaceMismatch { found: frame.latent_space, expected: self.id });
        }
        let layers = self.check_shape(frame.shape)?;
        coder::decode_payload(frame.payload, self.prefix_len(layers), self.tables_of(layers))
    }

    /// Quantises a latent of one or more layers to integers.
    ///
    /// # Errors
    /// Returns the same errors as [`encode`](Self::encode).
    pub fn quantise(&self, z: &[f32]) -> Result<Vec<i32>, LatentError> {
        let layers = self.check_len("latent", z.len())?;
        let mut integers = Vec::with_capacity(z.len());
        for (layer, start) in self.layer_starts().take(layers) {
            let quantised = layer.quantiser.quantise(&z[start..start + layer.len()]);
            integers.extend(quantised.map_err(|error| with_offset(error, start))?);
        }
        Ok(integers)
    }

    /// Returns the latent that these integers represent, with all its layers: missing layers are zeros.
    ///
    /// # Errors
    /// Returns [`LatentError::CountMismatch`] if the integers are not exactly those of the first layers.
    pub fn dequantise(&self, integers: &[i32]) -> Result<Vec<f32>, LatentError> {
        let layers = self.check_len("list of integers", integers.len())?;
        let mut latent = Vec::with_capacity(self.len());
        for (layer, start) in self.layer_starts().take(layers) {
            latent.extend(layer.quantiser.dequantise(&integers[start..start + layer.len()])?);
        }
        latent.resize(self.len(), 0.0);
        Ok(latent)
    }

    /// Returns the cost of these integers in bits: −log₂ of their probability under the tables, which
    /// measures how unusual they are. A frame also contains a header, and ends at a whole byte.
    ///
    /// # Errors
    /// Returns [`LatentError::CountMismatch`] if the integers are not exactly those of the first layers.
    pub fn cost_bits(&self, integers: &[i32]) -> Result<f64, LatentError> {
        let layers = self.check_len("list of integers", integers.len())?;
        Ok(integers
            .iter()
            .zip(self.tables_of(layers))
            .map(|(&integer, table)| table.cost_bits(integer))
            .sum())
    }

    /// Returns the entropy tables.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Returns the layers and the index of each one's first value.
    fn layer_starts(&self) -> impl Iterator<Item = (&LatentLayer, usize)> {
        self.layers.iter().scan(0, |start, layer| {
            let layer_start = *start;
            *start += layer.len();
            Some((layer, layer_start))
        })
    }

    /// Returns the table of every value of the first `layers` layers.
    fn tables_of(&self, layers: usize) -> impl Iterator<Item = &Table> + Clone {
        let run_lens = self.layers.iter().take(layers).flat_map(|layer| {
            let run_len = layer.run_len();
            layer.quantiser.gains().iter().map(move |_| run_len)
        });
        run_lens.zip(self.tables.as_slice()).flat_map(|(run_len, table)| std::iter::repeat_n(table, run_len))
    }

    /// Returns the number of layers whose values add up to `found`.
    fn check_len(&self, what: &'static str, found: usize) -> Result<usize, LatentError> {
        self.layer_count_of(found).ok_or(LatentError::CountMismatch { what, found, expected: self.len() })
    }

    /// Returns the number of layers that a frame of this shape carries.
    fn check_shape(&self, found: Shape) -> Result<usize, LatentError> {
        let layers = self.shapes.iter().position(|&shape| shape == found);
        layers.map(|index| index + 1).ok_or(LatentError::ShapeMismatch { found, expected: self.shape() })
    }
}

/// Returns the wire shapes: a single layer's own shape, otherwise the number of values.
fn wire_shapes(layers: &[LatentLayer]) -> Result<Vec<Shape>, LatentError> {
    if let [only] = layers {
        return Ok(vec![only.shape]);
    }
    let ends = layers.iter().scan(0_usize, |end, layer| {
        *end = end.saturating_add(layer.len());
        Some(u32::try_from(*end).unwrap_or(u32::MAX))
    });
    ends.map(|end| Shape::new(&[end])).collect()
}

/// Adjusts the index in an error of a layer whose values begin at `start`.
fn with_offset(error: LatentError, start: usize) -> LatentError {
    match error {
        LatentError::NotFinite { index, value } => LatentError::NotFinite { index: index + start, value },
        other => other,
    }
}
