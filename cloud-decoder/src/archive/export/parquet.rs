//! Encodes archived frames as a Parquet file: one row group per group of frames, with typed columns.
//!
//! Dictionary encoding is the only compression: frames are entropy coded, and the other columns are small or
//! repetitive.

use std::sync::Arc;

use lopside_archive::{Frame, Score};
use lopside_delivery::GeoPoint;
use parquet::{
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type},
    errors::ParquetError,
    file::{
        properties::{EnabledStatistics, WriterProperties},
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::{parser::parse_message_type, types::ColumnPath},
};

use super::{super::record::latent_space_id, FormatEncoder};
use crate::ServeError;

const SCHEMA: &str = "message frame {
    required int64 id;
    required binary device (STRING);
    required int64 epoch (INTEGER(64, false));
    required binary class (STRING);
    required int64 number;
    required int64 captured (TIMESTAMP(MICROS, true));
    required int64 corrected (TIMESTAMP(MICROS, true));
    required binary clock (STRING);
    required int64 received (TIMESTAMP(MICROS, true));
    required binary source (STRING);
    optional binary latent_space (STRING);
    optional binary trace (STRING);
    optional double score;
    optional double quantile;
    optional binary label (STRING);
    optional binary score_bundle (STRING);
    optional binary score_head (STRING);
    optional int32 score_version (INTEGER(32, false));
    required boolean damaged;
    optional double latitude;
    optional double longitude;
    optional double altitude;
    required binary frame;
}";

/// Columns with mostly distinct values, which get no dictionary.
const DISTINCT_COLUMNS: [&str; 7] = ["id", "number", "captured", "corrected", "received", "trace", "frame"];

/// A Parquet file that is being written.
pub(super) struct ParquetEncoder(SerializedFileWriter<Vec<u8>>);

/// A row group that is being written, column by column.
struct RowGroupWriter<'a> {
    group: SerializedRowGroupWriter<'a, Vec<u8>>,
    frames: &'a [Frame],
}

impl ParquetEncoder {
    /// Creates a file without rows.
    ///
    /// # Errors
    /// [`ServeError::Internal`].
    pub(super) fn new() -> Result<Self, ServeError> {
        let properties = WriterProperties::builder()
            .set_created_by("lopside".to_owned())
            .set_offset_index_disabled(true)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_column_statistics_enabled(ColumnPath::from("frame"), EnabledStatistics::None);
        let properties = DISTINCT_COLUMNS.iter().fold(properties, |properties, &column| {
            properties.set_column_dictionary_enabled(ColumnPath::from(column), false)
        });
        let properties = properties.build();
        let schema = parse_message_type(SCHEMA)?;
        let writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties));
        Ok(Self(writer?))
    }

    fn write_row_group(&mut self, frames: &[Frame]) -> Result<(), ParquetError> {
        RowGroupWriter { group: self.0.next_row_group()?, frames }.write_columns()?;
        Ok(self.0.flush()?)
    }
}

impl FormatEncoder for ParquetEncoder {
    fn encode_group(&mut self, frames: &[Frame]) -> Result<Vec<u8>, ServeError> {
        if !frames.is_empty() {
            self.write_row_group(frames)?;
        }
        Ok(std::mem::take(self.0.inner_mut()))
    }

    fn finish_file(&mut self) -> Result<Vec<u8>, ServeError> {
        self.0.finish()?;
        Ok(std::mem::take(self.0.inner_mut()))
    }
}

impl RowGroupWriter<'_> {
    fn write_columns(mut self) -> Result<(), ParquetError> {
        self.write_frame_columns()?;
        self.write_score_columns()?;
        self.write_mark_columns()?;
        self.write_required::<ByteArrayType>(|frame| frame.bytes.clone().into())?;
        self.group.close().map(drop)
    }

    fn write_frame_columns(&mut self) -> Result<(), ParquetError> {
        self.write_required::<Int64Type>(|frame| frame.meta.id)?;
        self.write_required::<ByteArrayType>(|frame| byte_array(&frame.meta.device))?;
        self.write_required::<Int64Type>(|frame| frame.meta.epoch.cast_signed())?;
        self.write_required::<ByteArrayType>(|frame| byte_array(frame.meta.class.name()))?;
        self.write_required::<Int64Type>(|frame| frame.meta.number.cast_signed())?;
        self.write_required::<Int64Type>(|frame| frame.meta.captured_us)?;
        self.write_required::<Int64Type>(|frame| frame.meta.corrected_us)?;
        self.write_required::<ByteArrayType>(|frame| byte_array(frame.meta.clock.name()))?;
        self.write_required::<Int64Type>(|frame| frame.meta.received_us)?;
        self.write_required::<ByteArrayType>(|frame| byte_array(&frame.meta.source))?;
        self.write_optional::<ByteArrayType>(|frame| {
            latent_space_id(frame.meta.latent_space).map(|space| byte_array(&space.to_string()))
        })?;
        self.write_optional::<ByteArrayType>(|frame| frame.meta.trace.as_deref().map(byte_array))
    }

    fn write_score_columns(&mut self) -> Result<(), ParquetError> {
        self.write_score::<DoubleType>(|score| Some(score.score))?;
        self.write_score::<DoubleType>(|score| score.quantile)?;
        self.write_score::<ByteArrayType>(|score| score.label.as_deref().map(byte_array))?;
        self.write_score::<ByteArrayType>(|score| Some(byte_array(&score.head.bundle)))?;
        self.write_score::<ByteArrayType>(|score| Some(byte_array(&score.head.head)))?;
        self.write_score::<Int32Type>(|score| Some(score.head.version.cast_signed()))
    }

    fn write_mark_columns(&mut self) -> Result<(), ParquetError> {
        self.write_required::<BoolType>(|frame| frame.meta.marks.is_damaged)?;
        self.write_optional::<DoubleType>(|frame| frame.meta.marks.location.map(GeoPoint::latitude))?;
        self.write_optional::<DoubleType>(|frame| frame.meta.marks.location.map(GeoPoint::longitude))?;
        self.write_optional::<DoubleType>(|frame| frame.meta.marks.location.and_then(GeoPoint::altitude_m))
    }

    fn write_required<T: DataType>(&mut self, value: impl Fn(&Frame) -> T::T) -> Result<(), ParquetError> {
        let values: Vec<T::T> = self.frames.iter().map(value).collect();
        self.write_column::<T>(&values, None)
    }

    fn write_optional<T: DataType>(
        &mut self,
        value: impl Fn(&Frame) -> Option<T::T>,
    ) -> Result<(), ParquetError> {
        let values: Vec<Option<T::T>> = self.frames.iter().map(value).collect();
        let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
        let values: Vec<T::T> = values.into_iter().flatten().collect();
        self.write_column::<T>(&values, Some(&levels))
    }

    fn write_score<T: DataType>(
        &mut self,
        value: impl Fn(&Score) -> Option<T::T>,
    ) -> Result<(), ParquetError> {
        self.write_optional::<T>(|frame| frame.meta.score.as_ref().and_then(&value))
    }

    /// Writes the next column. `levels` are the definition levels, 1 for present and 0 for missing values;
    /// `None` for a required column.
    fn write_column<T: DataType>(
        &mut self,
        values: &[T::T],
        levels: Option<&[i16]>,
    ) -> Result<(), ParquetError> {
        let column = self.group.next_column()?;
        let mut column =
            column.ok_or_else(|| ParquetError::General("the schema has too few columns".into()))?;
        column.typed::<T>().write_batch(values, levels, None)?;
        column.close()
    }
}

fn byte_array(text: &str) -> ByteArray {
    text.into()
}

impl From<ParquetError> for ServeError {
    fn from(error: ParquetError) -> Self {
        Self::Internal(error.to_string())
    }
}
