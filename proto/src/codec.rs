//! The codec of the generated clients and servers: prost's, which refuses a message before it decodes it if the result
//! would occupy far more memory than the message.

use std::marker::PhantomData;

use prost::{Message, bytes::Buf as _};
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder},
};
use tonic_prost::{ProstDecoder, ProstEncoder};

use crate::{layout::Layout, wire_size::check_size};

/// The codec of a method that sends `T` and receives `U`.
#[derive(Debug)]
pub(crate) struct BoundedCodec<T, U>(PhantomData<(T, U)>);

/// The decoder of the messages of one call.
#[derive(Debug)]
pub(crate) struct BoundedDecoder<U> {
    decoder: ProstDecoder<U>,
    /// Whether a message was refused. tonic then takes the bytes after it for more of the same message, and its caller
    /// may ask for the next one: nothing is decoded any more.
    has_failed: bool,
}

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for BoundedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Layout + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> ProstEncoder<T> {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> BoundedDecoder<U> {
        BoundedDecoder { decoder: ProstDecoder::default(), has_failed: false }
    }
}

impl<U: Message + Default + Layout> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let decoded = if self.has_failed {
            Ok(None)
        } else {
            check_message::<U>(source).and_then(|()| self.decoder.decode(source))
        };
        self.has_failed |= decoded.is_err();
        source.advance(source.remaining());
        decoded
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.decoder.buffer_settings()
    }
}

/// Checks how much memory a message will occupy.
///
/// # Errors
/// `INVALID_ARGUMENT` for a request, which would fail again. `INTERNAL` for a response, as for one that cannot be
/// decoded.
fn check_message<U: Layout>(source: &DecodeBuf<'_>) -> Result<(), Status> {
    let message = source.chunk();
    // tonic collects a message in one piece.
    if message.len() != source.remaining() {
        return Err(Status::internal("a message was received in pieces, which the codec does not expect"));
    }
    check_size::<U>(message).map_err(|error| {
        if U::IS_REQUEST {
            Status::invalid_argument(error.to_string())
        } else {
            Status::internal(error.to_string())
        }
    })
}
