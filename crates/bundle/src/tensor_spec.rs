use serde::{Deserialize, Serialize};

/// A tensor of 32-bit floats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorSpec {
    /// The name in the ONNX graph.
    pub name: String,
    /// The shape; the first dimension is the batch and symbolic.
    pub shape: Vec<Dim>,
}

/// One dimension of a tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Dim {
    /// A fixed extent.
    Fixed(u32),
    /// A named dimension that the caller chooses, such as `n` for the batch.
    Symbol(String),
}

impl TensorSpec {
    /// Returns the dimensions after the batch, or `None` if not all of them are fixed.
    #[must_use]
    pub fn item_dims(&self) -> Option<Vec<u32>> {
        let (Dim::Symbol(_), dims) = self.shape.split_first()? else { return None };
        dims.iter().map(|dim| if let Dim::Fixed(extent) = dim { Some(*extent) } else { None }).collect()
    }

    /// Returns the product of [`item_dims`](Self::item_dims); `None` also on overflow.
    #[must_use]
    pub fn item_elements(&self) -> Option<u64> {
        self.item_dims()?.iter().try_fold(1_u64, |product, &dim| product.checked_mul(u64::from(dim)))
    }
}
