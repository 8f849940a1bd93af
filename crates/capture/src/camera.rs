//! A V4L2 camera, opened by its device: MJPG if the camera offers it, otherwise YUYV.
//!
//! The feature `v4l` enables this module. Building it needs the Linux headers and libclang (Debian:
//! `linux-libc-dev`, `libclang-dev`); running it needs neither. Cameras behind libcamera, such as those of a
//! Raspberry Pi, do not offer these formats: run `rpicam-vid` as a [`CommandSource`](crate::command::CommandSource)
//! instead.

use std::{io, path::PathBuf, time::Duration};

use rustix::event::PollFlags;
use v4l::{
    Device, Format, FourCC,
    buffer::Type,
    io::mmap,
    io::traits::CaptureStream as _,
    video::{Capture as _, capture::Parameters},
};

use crate::{
    CaptureError, Captured, CapturedImage, CapturedInput, InputCounts, Source, SourceContext,
    silence::SilenceTimer,
    stream::{ImageStreamOptions, ImageStreamReader, RawFormat, RawLayout, StreamFormat},
};

/// The pixel formats that a camera is asked for, the preferred one first, with the raw format of those without a
/// header. A further format is a line here and a variant of [`RawFormat`].
const FORMATS: [(FourCc, Option<RawFormat>); 2] = [(*b"MJPG", None), (*b"YUYV", Some(RawFormat::Yuyv))];

/// Number of buffers that the driver fills while one is read.
const BUFFER_COUNT: u32 = 4;
/// Interval at which a wait checks whether it was stopped.
const STOP_POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Time limit for the first image of a camera.
const FIRST_IMAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// The code of a pixel format in V4L2: four ASCII characters.
type FourCc = [u8; 4];

/// The camera and the format that it is asked for. A camera that does not support it uses the nearest one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraOptions {
    /// The device: `/dev/video0`, or better a name under `/dev/v4l/by-id`.
    pub device: PathBuf,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frame rate in images per second.
    pub fps: u32,
    /// Time without an image after which the camera is opened again; `None` for no limit.
    pub silence: Option<Duration>,
}

/// A camera as a source. It is opened at the first call of `next`, and reopened after an error. A stop takes
/// effect within a fifth of a second, but not before the first image.
pub struct CameraSource {
    context: SourceContext,
    options: CameraOptions,
    open: Option<OpenCamera>,
    silence: Option<SilenceTimer>,
    counts: InputCounts,
}

struct OpenCamera {
    device: Device,
    stream: mmap::Stream<'static>,
    layout: BufferLayout,
    /// Whether the camera has delivered an image.
    has_image: bool,
}

/// Layout of the camera's images in its buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BufferLayout {
    Jpeg,
    /// Raw samples, with the number of bytes from one row to the next.
    Rows(RawLayout, usize),
}

/// The format that the driver has set.
#[derive(Debug, Clone, Copy)]
struct DriverFormat {
    fourcc: FourCc,
    width: u32,
    height: u32,
    /// Bytes from one row to the next.
    stride: u32,
}

impl CameraSource {
    /// Creates a camera source; the device is opened later.
    #[must_use]
    pub fn new(context: SourceContext, options: CameraOptions) -> Self {
        let silence = options.silence.map(|limit| SilenceTimer::new(limit, false, &*context.clock));
        Self { context, options, open: None, silence, counts: InputCounts::default() }
    }

    fn operation_error(&self, operation: &str, error: &io::Error) -> CaptureError {
        self.camera_error(format!(
            "cannot {operation}: {error}. Check that it is connected and not in use, and that the agent's user may read it (group video)"
        ))
    }

    fn camera_error(&self, reason: String) -> CaptureError {
        CaptureError::Camera { device: self.options.device.clone(), reason }
    }

    fn open(&self) -> Result<OpenCamera, CaptureError> {
        let CameraOptions { device: path, width, height, fps, .. } = &self.options;
        let device = Device::with_path(path).map_err(|error| self.operation_error("open it", &error))?;
        let formats =
            device.enum_formats().map_err(|error| self.operation_error("list its formats", &error))?;
        let offered: Vec<FourCc> = formats.iter().map(|format| format.fourcc.repr).collect();
        let fourcc = choose_format(&offered).map_err(|reason| self.camera_error(reason))?;
        let requested = Format::new(*width, *height, FourCC::new(&fourcc));
        let format =
            device.set_format(&requested).map_err(|error| self.operation_error("set its format", &error))?;
        let (width, height, stride) = (format.width, format.height, format.stride);
        let layout =
            buffer_layout(fourcc, DriverFormat { fourcc: format.fourcc.repr, width, height, stride })
                .map_err(|reason| self.camera_error(reason))?;
        // Some cameras have a single frame rate and refuse all others.
        if let Err(error) = device.set_params(&Parameters::with_fps(*fps)) {
            tracing::warn!(source = %self.context.name, fps, %error, "cannot set the frame rate; the camera uses its own");
        }
        let stream = mmap::Stream::with_buffers(&device, Type::VideoCapture, BUFFER_COUNT);
        let mut stream = stream.map_err(|error| self.operation_error("map its buffers", &error))?;
        stream.set_timeout(FIRST_IMAGE_TIMEOUT);
        tracing::info!(source = %self.context.name, width, height, format = %format.fourcc, "camera opened");
        Ok(OpenCamera { device, stream, layout, has_image: false })
    }

    /// Waits for an image. Returns `None` if the source was stopped or the image is damaged.
    fn read_image(&mut self, open: &mut OpenCamera) -> io::Result<Option<CapturedImage>> {
        while open.has_image && !self.wait_briefly(open)? {
            if self.context.stop.is_stopped() {
                return Ok(None);
            }
        }
        let (buffer, metadata) = open.stream.next()?;
        open.has_image = true;
        let length = (metadata.bytesused as usize).min(buffer.len());
        let image = open.layout.parse_buffer(&buffer[..length]);
        if image.is_some() {
            self.counts.captured += 1;
        } else {
            self.counts.damaged += 1;
            self.counts.skipped += length as u64;
        }
        Ok(image)
    }

    /// Waits until there is an image, but not for long. Returns whether there is one.
    fn wait_briefly(&self, open: &OpenCamera) -> io::Result<bool> {
        let _rest = self.context.activity().rest();
        // Damaged images do not help.
        let is_silent =
            self.silence.as_ref().is_some_and(|timer| timer.remaining(&*self.context.clock).is_zero());
        if is_silent {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no image within the time limit"));
        }
        let (events, timeout_ms) = (PollFlags::IN.bits() as i16, STOP_POLL_INTERVAL.as_millis() as i32);
        Ok(open.device.handle().poll(events, timeout_ms)? > 0)
    }

    fn read_error(&self, error: &io::Error) -> CaptureError {
        match self.options.silence.filter(|_| error.kind() == io::ErrorKind::TimedOut) {
            Some(limit) => {
                CaptureError::Silent { name: self.context.name.to_string(), seconds: limit.as_secs_f64() }
            }
            None => self.operation_error("read it", error),
        }
    }
}

impl Source for CameraSource {
    fn next(&mut self) -> Result<Option<Captured>, CaptureError> {
        if let Some(silence) = &self.silence {
            silence.restart(&*self.context.clock);
        }
        while !self.context.stop.is_stopped() {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => self.open()?,
            };
            let image = self.read_image(&mut open).map_err(|error| self.read_error(&error))?;
            self.open = Some(open);
            if let Some(image) = image {
                return Ok(Some(self.context.capture_now(CapturedInput::Image(image))));
            }
        }
        self.open = None;
        Ok(None)
    }

    fn input_counts(&self) -> InputCounts {
        self.counts
    }
}

impl BufferLayout {
    /// Returns the image of a buffer, or `None` if it is incomplete.
    fn parse_buffer(self, buffer: &[u8]) -> Option<CapturedImage> {
        match self {
            Self::Jpeg => {
                let options =
                    ImageStreamOptions { format: StreamFormat::Mjpeg, ..ImageStreamOptions::default() };
                ImageStreamReader::new(buffer, options).ok()?.next_image().ok()?
            }
            Self::Rows(raw, stride) => {
                let (row, rows) = (raw.row_bytes(), raw.image_bytes() / raw.row_bytes());
                // The padding of the last row may be missing.
                let samples: Vec<u8> = buffer
                    .chunks(stride)
                    .take(rows)
                    .filter_map(|line| line.get(..row))
                    .flatten()
                    .copied()
                    .collect();
                (samples.len() == raw.image_bytes()).then(|| CapturedImage::from_raw(raw, samples))
            }
        }
    }
}

/// Chooses the format to ask for.
fn choose_format(offered: &[FourCc]) -> Result<FourCc, String> {
    let chosen = FORMATS.into_iter().map(|(format, _)| format).find(|format| offered.contains(format));
    chosen.ok_or_else(|| {
        let names: Vec<String> = offered.iter().map(|format| format.escape_ascii().to_string()).collect();
        let names = names.join(", ");
        let known = FORMATS.map(|(format, _)| format.escape_ascii().to_string()).join(" nor ");
        format!("it offers neither {known}, but [{names}]: use a program that converts it, such as rpicam-vid or ffmpeg")
    })
}

/// Returns the buffer layout that the driver's answer describes.
fn buffer_layout(requested: FourCc, driver_format: DriverFormat) -> Result<BufferLayout, String> {
    let DriverFormat { fourcc, width, height, stride } = driver_format;
    if fourcc != requested {
        let (requested, delivered) = (requested.escape_ascii(), fourcc.escape_ascii());
        return Err(format!("it was set to {requested} but delivers {delivered}: configure another size"));
    }
    let raw_format = FORMATS.iter().find(|(known, _)| *known == fourcc).and_then(|(_, raw)| *raw);
    let Some(raw_format) = raw_format else { return Ok(BufferLayout::Jpeg) };
    let raw = RawLayout::new(width, height, raw_format).map_err(|error| error.to_string())?;
    let row = raw.row_bytes();
    match stride as usize {
        // Old drivers leave it out.
        0 => Ok(BufferLayout::Rows(raw, row)),
        stride if stride >= row => Ok(BufferLayout::Rows(raw, stride)),
        stride => {
            Err(format!("its rows have {row} bytes, but begin every {stride} bytes: its driver is broken"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StopHandle;

    const MJPG: FourCc = *b"MJPG";
    const YUYV: FourCc = *b"YUYV";
    const DRIVER_FORMAT: DriverFormat = DriverFormat { fourcc: YUYV, width: 2, height: 2, stride: 4 };

    #[test]
    fn mjpg_is_preferred_to_yuyv_and_nothing_else_is_accepted() {
        assert_eq!(choose_format(&[*b"RGB3", YUYV, MJPG]), Ok(MJPG));
        assert_eq!(choose_format(&[*b"RGB3", YUYV]), Ok(YUYV));
        let error = choose_format(&[*b"pRAA", *b"RG10"]).unwrap_err();
        assert!(error.contains("neither MJPG nor YUYV, but [pRAA, RG10]"), "{error}");
    }

    #[test]
    fn the_format_of_the_driver_is_used() {
        let raw = RawLayout::new(2, 2, RawFormat::Yuyv).unwrap();
        for (stride, expected) in [(0, 4), (4, 4), (64, 64)] {
            assert_eq!(
                buffer_layout(YUYV, DriverFormat { stride, ..DRIVER_FORMAT }),
                Ok(BufferLayout::Rows(raw, expected))
            );
        }
        assert_eq!(
            buffer_layout(MJPG, DriverFormat { fourcc: MJPG, stride: 0, ..DRIVER_FORMAT }),
            Ok(BufferLayout::Jpeg)
        );
        assert!(
            buffer_layout(YUYV, DriverFormat { stride: 3, ..DRIVER_FORMAT })
                .unwrap_err()
                .contains("its driver is broken")
        );
        assert!(buffer_layout(MJPG, DRIVER_FORMAT).unwrap_err().contains("set to MJPG but delivers YUYV"));
        assert!(buffer_layout(YUYV, DriverFormat { width: 0, ..DRIVER_FORMAT }).is_err());
    }

    #[test]
    fn row_padding_is_removed_and_half_an_image_is_damaged() {
        let layout = buffer_layout(YUYV, DriverFormat { stride: 6, ..DRIVER_FORMAT }).unwrap();
        let buffer = [16, 128, 235, 128, 0, 0, 235, 128, 16, 128];
        assert_eq!(
            layout.parse_buffer(&buffer).unwrap().bytes().unwrap(),
            [16, 128, 235, 128, 235, 128, 16, 128]
        );
        assert_eq!(layout.parse_buffer(&buffer[..9]), None);
        assert_eq!(BufferLayout::Jpeg.parse_buffer(b"\xff\xd8\xff\xda no end"), None);
        let jpeg = b"\xff\xd8\xff\xda\x00\x02 picture\xff\xd9";
        let padded = [&jpeg[..], &[0; 40]].concat();
        assert_eq!(BufferLayout::Jpeg.parse_buffer(&padded).unwrap().bytes(), Some(&jpeg[..]));
    }

    #[test]
    fn a_missing_camera_is_named() {
        let device = "/dev/no-camera".into();
        let options = CameraOptions { device, width: 640, height: 480, fps: 30, silence: None };
        let mut camera = CameraSource::new(SourceContext::new("door", &StopHandle::new().unwrap()), options);
        let error = camera.next().unwrap_err().to_string();
        assert!(error.contains("the camera /dev/no-camera: cannot open it"), "{error}");
        assert!(error.contains("group video"), "{error}");
    }
}
