//! Tensors as the protocol carries them: raw little-endian bytes, or typed elements.

use axum::body::Bytes;
use lopside_decoder::BatchSlice;
use utoipa::ToSchema;

use crate::ServeError;

// Raw tensors are little-endian, and so are all supported targets of ONNX Runtime.
const _: () = assert!(cfg!(target_endian = "little"));

/// Maximum number of byte strings of a tensor. Models read only frames as byte strings, and a request has at most 64.
pub(super) const MAX_TEXTS: usize = 256;
/// Maximum number of dimensions of a tensor, which errors may list.
pub(super) const MAX_DIMS: usize = 64;

/// The data types of inputs and outputs of heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(as = Datatype, rename_all = "UPPERCASE")]
pub(super) enum DataType {
    Bool,
    Fp32,
    Bytes,
}

impl DataType {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Fp32 => "FP32",
            Self::Bytes => "BYTES",
        }
    }
}

/// A tensor that a client sent.
#[derive(Debug, Clone)]
pub(super) struct InputTensor {
    pub(super) name: String,
    pub(super) datatype: String,
    pub(super) shape: Vec<i64>,
    pub(super) data: InputData,
}

/// The elements of an input.
#[derive(Debug, Clone)]
pub(super) enum InputData {
    /// Little-endian bytes; an element of BYTES is a 4-byte length and the bytes.
    Raw(Bytes),
    Floats(Vec<f32>),
    Texts(Vec<Bytes>),
    /// Elements of a type that heads do not accept.
    Unsupported,
}

impl InputTensor {
    /// Returns the tensor if its shape has at most [`MAX_DIMS`] dimensions.
    ///
    /// # Errors
    /// [`ServeError::InvalidRequest`] with their number.
    pub(super) fn check_dims(self) -> Result<Self, ServeError> {
        let dims = self.shape.len();
        if dims <= MAX_DIMS {
            return Ok(self);
        }
        Err(self.input_error(&format!("its shape has {dims} dimensions, but the limit is {MAX_DIMS}")))
    }

    /// Returns the number of items, which is the first dimension.
    ///
    /// # Errors
    /// [`ServeError::InvalidRequest`] if the first dimension is missing or less than 1.
    pub(super) fn items(&self) -> Result<usize, ServeError> {
        let items = self.shape.first().and_then(|&items| usize::try_from(items).ok());
        items.filter(|&items| items > 0).ok_or_else(|| {
            self.input_error(&format!(
                "its shape is {:?}, but its first dimension must be a batch size of 1 or more",
                self.shape
            ))
        })
    }

    /// Returns the number of items, and the rows and columns, of a tensor of feature maps, `[n, channels,
    /// rows, columns]`.
    ///
    /// # Errors
    /// [`ServeError::InvalidRequest`] unless there are four dimensions, with items, rows and columns of 1 or more.
    pub(super) fn extents(&self) -> Result<(usize, [usize; 2]), ServeError> {
        let extents = match self.shape[..] {
            [items, _, rows, columns] => {
                positive_extent(items).zip(positive_extent(rows)).zip(positive_extent(columns))
            }
            _ => None,
        };
        let ((items, rows), columns) = extents.ok_or_else(|| {
            self.input_error(&format!("its shape is {:?}, not [n, channels, rows, columns]", self.shape))
        })?;
        Ok((items, [rows, columns]))
    }

    /// Returns the values of an FP32 tensor whose items have these dimensions.
    ///
    /// # Errors
    /// [`ServeError::InvalidRequest`] for another type or shape.
    pub(super) fn into_floats(mut self, dims: &[usize]) -> Result<Vec<f32>, ServeError> {
        let items = self.items()?;
        let shape_matches =
            self.shape[1..].iter().map(|&dim| usize::try_from(dim).ok()).eq(dims.iter().map(|&d| Some(d)));
        if self.datatype != DataType::Fp32.name() || !shape_matches {
            let (kind, shape) = (&self.datatype, &self.shape);
            return Err(self.input_error(&format!(
                "it is {kind} {shape:?}, but the model reads FP32 [n, {}]",
                list_dims(dims)
            )));
        }
        let expected = dims.iter().try_fold(items, |product, &dim| product.checked_mul(dim));
        let values = match std::mem::replace(&mut self.data, InputData::Unsupported) {
            InputData::Raw(bytes) => {
                let (values, rest) = bytes.as_chunks::<4>();
                rest.is_empty().then(|| values.iter().map(|value| f32::from_le_bytes(*value)).collect())
            }
            InputData::Floats(values) => Some(values),
            InputData::Texts(_) | InputData::Unsupported => None,
        };
        let values: Vec<f32> = values.ok_or_else(|| self.input_error("its data are not 32-bit floats"))?;
        if Some(values.len()) == expected {
            return Ok(values);
        }
        Err(self.input_error(&format!(
            "it has {} values, which does not match its shape {:?}",
            values.len(),
            self.shape
        )))
    }

    /// Returns the elements of a BYTES tensor, one per item.
    ///
    /// # Errors
    /// [`ServeError::InvalidRequest`] for another type or shape.
    pub(super) fn texts(mut self) -> Result<Vec<Bytes>, ServeError> {
        let items = self.items()?;
        if self.datatype != DataType::Bytes.name() || !(self.shape.len() == 1 || self.shape[1..] == [1]) {
            let (kind, shape) = (&self.datatype, &self.shape);
            return Err(
                self.input_error(&format!("it is {kind} {shape:?}, but the model reads BYTES [n] or [n, 1]"))
            );
        }
        if items > MAX_TEXTS {
            return Err(self
                .input_error(&format!("its shape has {items} byte strings, but the limit is {MAX_TEXTS}")));
        }
        let texts = match std::mem::replace(&mut self.data, InputData::Unsupported) {
            // One more shows that there are too many.
            InputData::Raw(bytes) => split_texts(&bytes, items + 1)
                .ok_or_else(|| self.input_error("the lengths of its elements do not match its bytes"))?,
            InputData::Texts(texts) => texts,
            InputData::Floats(_) | InputData::Unsupported => {
                return Err(self.input_error("its data are not byte strings"));
            }
        };
        if texts.len() == items {
            return Ok(texts);
        }
        let count = if texts.len() > items { format!("more than {items}") } else { texts.len().to_string() };
        Err(self.input_error(&format!(
            "it has {count} elements, which does not match its shape {:?}",
            self.shape
        )))
    }

    fn input_error(&self, reason: &str) -> ServeError {
        ServeError::InvalidRequest(format!("input {:?}: {reason}", self.name))
    }
}

/// Returns a dimension as an extent; `None` if it is less than 1.
fn positive_extent(dim: i64) -> Option<usize> {
    usize::try_from(dim).ok().filter(|&extent| extent > 0)
}

/// Splits a raw BYTES tensor into its elements, up to `max_count` of them; `None` if the lengths do not match the bytes.
/// An empty element has 4 bytes, and is 32 in the list.
fn split_texts(bytes: &Bytes, max_count: usize) -> Option<Vec<Bytes>> {
    let mut texts = Vec::new();
    let mut rest = bytes.clone();
    while !rest.is_empty() && texts.len() < max_count {
        let (len, _) = rest.split_first_chunk::<4>()?;
        let end = 4_usize.checked_add(u32::from_le_bytes(*len) as usize)?;
        if end > rest.len() {
            return None;
        }
        texts.push(rest.slice(4..end));
        rest = rest.slice(end..);
    }
    Some(texts)
}

/// An output tensor of a model.
#[derive(Debug, Clone)]
pub(super) struct OutputTensor {
    pub(super) name: String,
    pub(super) shape: Vec<i64>,
    pub(super) values: OutputData,
}

/// The elements of an output.
#[derive(Debug, Clone)]
pub(super) enum OutputData {
    /// An output of a run, by its number, in the memory of ONNX Runtime.
    Slice(BatchSlice, usize),
    Floats(Vec<f32>),
    Texts(Vec<Vec<u8>>),
    Bools(Vec<bool>),
}

impl OutputData {
    pub(super) fn datatype(&self) -> DataType {
        match self {
            Self::Slice(..) | Self::Floats(_) => DataType::Fp32,
            Self::Texts(_) => DataType::Bytes,
            Self::Bools(_) => DataType::Bool,
        }
    }

    /// Returns the values of a tensor of floats; empty for other types.
    pub(super) fn floats(&self) -> &[f32] {
        match self {
            Self::Slice(slice, number) => slice.output_values(*number),
            Self::Floats(values) => values,
            Self::Texts(_) | Self::Bools(_) => &[],
        }
    }

    /// Returns the number of elements; in a byte string, every four bytes count as one element.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Slice(..) | Self::Floats(_) => self.floats().len(),
            Self::Bools(values) => values.len(),
            Self::Texts(texts) => texts.iter().map(|text| text.len().div_ceil(4)).sum(),
        }
    }

    /// Returns the elements as the protocol's raw bytes.
    pub(super) fn raw(&self) -> Bytes {
        match self {
            // Without a copy: the bytes keep the outputs of the run alive.
            Self::Slice(slice, number) => Bytes::from_owner(SliceBytes(slice.clone(), *number)),
            Self::Floats(values) => Bytes::copy_from_slice(bytemuck::cast_slice::<f32, u8>(values)),
            Self::Bools(values) => values.iter().map(|&value| u8::from(value)).collect(),
            Self::Texts(texts) => {
                let mut raw = Vec::with_capacity(texts.iter().map(|text| 4 + text.len()).sum());
                for text in texts {
                    raw.extend_from_slice(&(text.len() as u32).to_le_bytes());
                    raw.extend_from_slice(text);
                }
                raw.into()
            }
        }
    }
}

/// An output of a run, as bytes.
struct SliceBytes(BatchSlice, usize);

impl AsRef<[u8]> for SliceBytes {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(self.0.output_values(self.1))
    }
}

fn list_dims(dims: &[usize]) -> String {
    dims.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(datatype: &str, shape: &[i64], data: InputData) -> InputTensor {
        InputTensor { name: "x".into(), datatype: datatype.into(), shape: shape.to_vec(), data }
    }

    fn raw(bytes: &[u8]) -> InputData {
        InputData::Raw(Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn floats_are_read_raw_or_as_numbers_when_type_and_shape_fit() {
        let bytes: Vec<u8> = [1.5_f32, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(input("FP32", &[1, 2], raw(&bytes)).into_floats(&[2]).unwrap(), [1.5, -2.0]);
        assert_eq!(
            input("FP32", &[2, 1], InputData::Floats(vec![1.0, 2.0])).into_floats(&[1]).unwrap(),
            [1.0, 2.0]
        );
        for invalid in [
            input("FP64", &[1, 2], raw(&bytes)),
            input("FP32", &[2, 2], raw(&bytes)),
            input("FP32", &[1, 2], raw(&bytes[1..])),
            input("FP32", &[0, 2], raw(&[])),
            input("FP32", &[i64::MAX, 2], raw(&bytes)),
            input("FP32", &[], raw(&bytes)),
            input("FP32", &[1, -2], raw(&bytes)),
        ] {
            let error = invalid.into_floats(&[2]).unwrap_err().to_string();
            assert!(error.starts_with("input \"x\": "), "{error}");
        }
    }

    #[test]
    fn byte_strings_survive_a_round_trip() {
        let values = OutputData::Texts(vec![b"one".to_vec(), Vec::new(), b"three".to_vec()]);
        let texts = input("BYTES", &[3, 1], InputData::Raw(values.raw())).texts().unwrap();
        assert_eq!(texts, [&b"one"[..], b"", b"three"]);
        assert!(input("BYTES", &[2], InputData::Raw(values.raw())).texts().is_err());
        let truncated = values.raw().slice(..5);
        assert!(input("BYTES", &[3], InputData::Raw(truncated)).texts().is_err());
        assert!(input("BYTES", &[1], raw(&[255, 255, 255, 255])).texts().is_err());
    }

    #[test]
    fn byte_strings_are_counted_before_they_are_collected() {
        for items in [1, MAX_TEXTS, MAX_TEXTS + 1] {
            let empty = || InputData::Raw(vec![0; 4 * items].into());
            let texts = input("BYTES", &[items as i64], empty()).texts();
            assert_eq!(texts.is_ok(), items <= MAX_TEXTS, "{items}");
            let error = input("BYTES", &[i64::MAX], empty()).texts().unwrap_err().to_string();
            assert!(error.contains("the limit is 256"), "{error}");
        }
        let many = vec![0; 1 << 20];
        let error = input("BYTES", &[2], raw(&many)).texts().unwrap_err().to_string();
        assert!(error.contains("more than 2 elements"), "{error}");
        assert_eq!(split_texts(&many.into(), 3).unwrap().len(), 3);
    }
}
