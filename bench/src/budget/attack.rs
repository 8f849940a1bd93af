use std::{
    net::{AddrParseError, SocketAddr},
    path::Path,
    sync::Arc,
};

use clap::ValueEnum;
use serde::Serialize;
use tonic::transport::Channel;

use super::{bodies, calls, image_frame::flat_image_frame, uploads};
use crate::{BenchError, error::NetworkError};

/// Side of the image whose decoding is cancelled, in pixels.
const CANCELLED_SIDE: u32 = 512;

/// An attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Attack {
    /// Upload messages with up to 65,536 empty frames and a source with a name of 100 kB
    UploadMessages,
    /// 24 messages of 64 MB on one HTTP/2 connection, none of which ends
    UnfinishedMessages,
    /// Frames of a few hundred bytes that declare the largest image that the server accepts
    ImageFrames,
    /// Compressed requests that become 1 GiB of zeros, over REST and gRPC
    GzipBombs,
    /// 5,000 requests with random API keys
    KeyGuesses,
    /// 64 devices that send eight messages with 20,000 frames of one byte each at the same time
    ManyMessages,
    /// 3,000 devices that connect at the same time
    Hellos,
    /// 1,000 devices that stay connected and send nothing
    IdleDevices,
    /// 100 cancelled requests per second on the connection of the healthy client
    Resets,
}

/// The server that is attacked.
#[derive(Debug, Clone)]
pub(super) struct AttackTarget {
    url: String,
    address: SocketAddr,
    /// The connection of the healthy client.
    channel: Channel,
    /// The frame of the largest image that the server accepts.
    large_frame: Arc<[u8]>,
    /// The frame of an image whose decoding takes long enough to be cancelled.
    small_frame: Arc<[u8]>,
}

impl AttackTarget {
    /// Prepares the frames for a server. `photo` is the bundle that decodes them, `max_pixels` the size of the largest
    /// image that the server accepts.
    pub(super) fn new(
        url: &str,
        channel: Channel,
        photo: &Path,
        max_pixels: u32,
    ) -> Result<Self, BenchError> {
        let authority = url.strip_prefix("http://").unwrap_or(url);
        let address: SocketAddr = authority.parse().map_err(|error: AddrParseError| {
            NetworkError::InvalidAddress { address: url.to_owned(), reason: error.to_string() }
        })?;
        Ok(Self {
            url: url.to_owned(),
            address,
            channel,
            large_frame: flat_image_frame(photo, max_pixels.isqrt())?.into(),
            small_frame: flat_image_frame(photo, CANCELLED_SIDE)?.into(),
        })
    }
}

impl Attack {
    /// Runs the attack to its end, and returns the answers of the server.
    pub(super) async fn run(self, target: AttackTarget) -> Result<String, BenchError> {
        let AttackTarget { url, address, channel, large_frame, small_frame } = target;
        match self {
            Self::UploadMessages => uploads::send_upload_messages(&url).await,
            Self::UnfinishedMessages => bodies::send_unfinished_messages(address).await,
            Self::ImageFrames => calls::decode_images(&url, &large_frame).await,
            Self::GzipBombs => bodies::send_gzip_bombs(address).await,
            Self::KeyGuesses => calls::guess_keys(&url).await,
            Self::ManyMessages => uploads::send_many_messages(&url).await,
            Self::Hellos => uploads::send_hellos(&url).await,
            Self::IdleDevices => uploads::hold_devices(&url).await,
            Self::Resets => calls::reset_calls(&channel, &small_frame).await,
        }
    }
}
