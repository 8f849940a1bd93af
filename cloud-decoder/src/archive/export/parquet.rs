//! Encodes archived frames as a Parquet file: one row group per group of frames, with typed columns.
//!
//! Dictionary encoding is the only compression: frames are entropy coded, and the other columns are small or
//! repetitive.

use std::sync::Arc;

use lopside_archive::{Frame, Score};
use parquet::{
    data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type},
    errors::ParquetError,
    file::{
        properties::{EnabledStatistics, WriterProperties},
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::{parser::parse_message_type, types::ColumnPath},
};

use super::{super::record::space_of, Writer};
use crate::ServeError;

const SCHEMA: &str = "message frame {
    required int64 id;
    required binary device (STRING);
    required int64 epoch (INTEGER(64, false));
    required binary class (STRING);
    required int64 number;
    required int64 captured (TIMESTAMP(MICROS, true));
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
    required binary frame;
}";

/// Columns with mostly distinct values, which get no dictionary.
const DISTINCT: [&str; 6] = ["id", "number", "captured", "received", "trace", "frame"];

/// A Parquet file that is being written.
pub(super) struct Parquet(SerializedFileWriter<Vec<u8>>);

/// A row group that is being written, column by column.
struct Columns<'a> {
    group: SerializedRowGroupWriter<'a, Vec<u8>>,
    frames: &'a [Frame],
}

impl Parquet {
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
        let plain = |properties: parquet::file::properties::WriterPropertiesBuilder, column: &&str| {
            properties.set_column_dictionary_enabled(ColumnPath::from(*column), false)
        };
        let properties = DISTINCT.iter().fold(properties, plain).build();
        let schema = parse_message_type(SCHEMA)?;
        let writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties));
        Ok(Self(writer?))
    }

    fn write(&mut self, frames: &[Frame]) -> Result<(), ParquetError> {
        Columns { group: self.0.next_row_group()?, frames }.write()?;
        Ok(self.0.flush()?)
    }
}

impl Writer for Parquet {
    fn group(&mut self, frames: &[Frame]) -> Result<Vec<u8>, ServeError> {
        if !frames.is_empty() {
            self.write(frames)?;
        }
        Ok(std::mem::take(self.0.inner_mut()))
    }

    fn end(&mut self) -> Result<Vec<u8>, ServeError> {
        self.0.finish()?;
        Ok(std::mem::take(self.0.inner_mut()))
    }
}

impl Columns<'_> {
    fn write(mut self) -> Result<(), ParquetError> {
        self.of_frames()?;
        self.of_scores()?;
        self.required::<ByteArrayType>(|frame| frame.bytes.clone().into())?;
        self.group.close().map(drop)
    }

    fn of_frames(&mut self) -> Result<(), ParquetError> {
        self.required::<Int64Type>(|frame| frame.meta.id)?;
        self.required::<ByteArrayType>(|frame| text(&frame.meta.device))?;
        self.required::<Int64Type>(|frame| frame.meta.epoch.cast_signed())?;
        self.required::<ByteArrayType>(|frame| text(frame.meta.class.name()))?;
        self.required::<Int64Type>(|frame| frame.meta.number.cast_signed())?;
        self.required::<Int64Type>(|frame| frame.meta.captured_us)?;
        self.required::<Int64Type>(|frame| frame.meta.received_us)?;
        self.required::<ByteArrayType>(|frame| text(&frame.meta.source))?;
        let space = |frame: &Frame| space_of(frame.meta.latent_space).map(|space| text(&space.to_string()));
        self.optional::<ByteArrayType>(space)?;
        self.optional::<ByteArrayType>(|frame| frame.meta.trace.as_deref().map(text))
    }

    fn of_scores(&mut self) -> Result<(), ParquetError> {
        self.of_score::<DoubleType>(|score| Some(score.score))?;
        self.of_score::<DoubleType>(|score| score.quantile)?;
        self.of_score::<ByteArrayType>(|score| score.label.as_deref().map(text))?;
        self.of_score::<ByteArrayType>(|score| Some(text(&score.head.bundle)))?;
        self.of_score::<ByteArrayType>(|score| Some(text(&score.head.head)))?;
        self.of_score::<Int32Type>(|score| Some(score.head.version.cast_signed()))
    }

    fn required<T: DataType>(&mut self, value: impl Fn(&Frame) -> T::T) -> Result<(), ParquetError> {
        let values: Vec<T::T> = self.frames.iter().map(value).collect();
        self.column::<T>(&values, None)
    }

    fn optional<T: DataType>(&mut self, value: impl Fn(&Frame) -> Option<T::T>) -> Result<(), ParquetError> {
        let values: Vec<Option<T::T>> = self.frames.iter().map(value).collect();
        let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
        let values: Vec<T::T> = values.into_iter().flatten().collect();
        self.column::<T>(&values, Some(&levels))
    }

    fn of_score<T: DataType>(&mut self, value: impl Fn(&Score) -> Option<T::T>) -> Result<(), ParquetError> {
        self.optional::<T>(|frame| frame.meta.score.as_ref().and_then(&value))
    }

    /// Writes the next column. `levels` are the definition levels, 1 for present and 0 for missing values;
    /// `None` for a required column.
    fn column<T: DataType>(&mut self, values: &[T::T], levels: Option<&[i16]>) -> Result<(), ParquetError> {
        let column = self.group.next_column()?;
        let mut column =
            column.ok_or_else(|| ParquetError::General("the schema has too few columns".into()))?;
        column.typed::<T>().write_batch(values, levels, None)?;
        column.close()
    }
}

fn text(text: &str) -> ByteArray {
    text.into()
}

impl From<ParquetError> for ServeError {
    fn from(error: ParquetError) -> Self {
        Self::Internal(error.to_string())
    }
}
