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
    CaptureError, Captured, Context, Counted, Picture, Source, What,
    stream::{PictureFormat, PictureOptions, Pictures, Raw, RawFormat},
};

const MJPG: [u8; 4] = *b"MJPG";
const YUYV: [u8; 4] = *b"YUYV";
/// Number of buffers that the driver fills while one is read.
const BUFFERS: u32 = 4;
/// Interval at which a wait checks whether it was stopped.
const LOOK: Duration = Duration::from_millis(200);
/// Time limit for the first image of a camera.
const START: Duration = Duration::from_secs(10);

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
}

/// A camera as a source. It is opened at the first call of `next`, and reopened after an error. A stop takes
/// effect within a fifth of a second, but not before the first image.
pub struct Camera {
    context: Context,
    options: CameraOptions,
    open: Option<Open>,
    counted: Counted,
}

struct Open {
    device: Device,
    stream: mmap::Stream<'static>,
    layout: Layout,
    /// Whether the camera has delivered an image.
    started: bool,
}

/// Layout of the camera's images in its buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Jpeg,
    /// Raw samples, with the number of bytes from one row to the next.
    Rows(Raw, usize),
}

/// The format that the driver has set.
#[derive(Debug, Clone, Copy)]
struct Answer {
    fourcc: [u8; 4],
    width: u32,
    height: u32,
    /// Bytes from one row to the next.
    stride: u32,
}

impl Camera {
    /// Creates a camera source; the device is opened later.
    #[must_use]
    pub fn new(context: Context, options: CameraOptions) -> Self {
        Self { context, options, open: None, counted: Counted::default() }
    }

    fn failed(&self, doing: &str, error: &io::Error) -> CaptureError {
        self.camera_error(format!(
            "cannot {doing}: {error}. Check that it is connected and not in use, and that the agent's user may read it (group video)"
        ))
    }

    fn camera_error(&self, reason: String) -> CaptureError {
        CaptureError::Camera { device: self.options.device.clone(), reason }
    }

    fn open(&self) -> Result<Open, CaptureError> {
        let CameraOptions { device: path, width, height, fps } = &self.options;
        let device = Device::with_path(path).map_err(|error| self.failed("open it", &error))?;
        let formats = device.enum_formats().map_err(|error| self.failed("list its formats", &error))?;
        let offered: Vec<[u8; 4]> = formats.iter().map(|format| format.fourcc.repr).collect();
        let fourcc = choose(&offered).map_err(|reason| self.camera_error(reason))?;
        let asked = Format::new(*width, *height, FourCC::new(&fourcc));
        let format = device.set_format(&asked).map_err(|error| self.failed("set its format", &error))?;
        let (width, height, stride) = (format.width, format.height, format.stride);
        let layout = layout(fourcc, Answer { fourcc: format.fourcc.repr, width, height, stride })
            .map_err(|reason| self.camera_error(reason))?;
        // Some cameras have a single frame rate and refuse all others.
        if let Err(error) = device.set_params(&Parameters::with_fps(*fps)) {
            tracing::warn!(source = %self.context.name, fps, %error, "cannot set the frame rate; the camera uses its own");
        }
        let stream = mmap::Stream::with_buffers(&device, Type::VideoCapture, BUFFERS);
        let mut stream = stream.map_err(|error| self.failed("map its buffers", &error))?;
        stream.set_timeout(START);
        tracing::info!(source = %self.context.name, width, height, format = %format.fourcc, "camera opened");
        Ok(Open { device, stream, layout, started: false })
    }

    /// Waits for an image. Returns `None` if the source was stopped or the image is damaged.
    fn read(&mut self, open: &mut Open) -> io::Result<Option<Picture>> {
        while open.started
            && open.device.handle().poll(PollFlags::IN.bits() as i16, LOOK.as_millis() as i32)? == 0
        {
            if self.context.stop.is_stopped() {
                return Ok(None);
            }
        }
        let (buffer, metadata) = open.stream.next()?;
        open.started = true;
        let used = (metadata.bytesused as usize).min(buffer.len());
        let picture = open.layout.picture(&buffer[..used]);
        if picture.is_some() {
            self.counted.captured += 1;
        } else {
            self.counted.damaged += 1;
            self.counted.skipped += used as u64;
        }
        Ok(picture)
    }
}

impl Source for Camera {
    fn next(&mut self) -> Result<Option<Captured>, CaptureError> {
        while !self.context.stop.is_stopped() {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => self.open()?,
            };
            let picture = self.read(&mut open).map_err(|error| self.failed("read it", &error))?;
            self.open = Some(open);
            if let Some(picture) = picture {
                return Ok(Some(self.context.captured(What::Picture(picture))));
            }
        }
        self.open = None;
        Ok(None)
    }

    fn counted(&self) -> Counted {
        self.counted
    }
}

impl Layout {
    /// Returns the image of a buffer, or `None` if it is incomplete.
    fn picture(self, buffer: &[u8]) -> Option<Picture> {
        match self {
            Self::Jpeg => {
                let options = PictureOptions { format: PictureFormat::Mjpeg, ..PictureOptions::default() };
                Pictures::new(buffer, options).ok()?.next_picture().ok()?
            }
            Self::Rows(raw, stride) => {
                let (row, rows) = (raw.row(), raw.size() / raw.row());
                // The padding of the last row may be missing.
                let samples: Vec<u8> = buffer
                    .chunks(stride)
                    .take(rows)
                    .filter_map(|line| line.get(..row))
                    .flatten()
                    .copied()
                    .collect();
                (samples.len() == raw.size()).then(|| Picture::raw(raw, samples))
            }
        }
    }
}

/// Chooses the format to ask for.
fn choose(offered: &[[u8; 4]]) -> Result<[u8; 4], String> {
    let choice = [MJPG, YUYV].into_iter().find(|format| offered.contains(format));
    choice.ok_or_else(|| {
        let names: Vec<String> = offered.iter().map(|format| format.escape_ascii().to_string()).collect();
        let names = names.join(", ");
        format!("it offers neither MJPG nor YUYV, but [{names}]: use a program that converts it, such as rpicam-vid or ffmpeg")
    })
}

/// Returns the buffer layout that the driver's answer describes.
fn layout(asked: [u8; 4], answer: Answer) -> Result<Layout, String> {
    let Answer { fourcc, width, height, stride } = answer;
    if fourcc != asked {
        let (asked, given) = (asked.escape_ascii(), fourcc.escape_ascii());
        return Err(format!("it was set to {asked} but delivers {given}: configure another size"));
    }
    if fourcc == MJPG {
        return Ok(Layout::Jpeg);
    }
    let raw = Raw::new(width, height, RawFormat::Yuyv).map_err(|error| error.to_string())?;
    let row = raw.row();
    match stride as usize {
        // Old drivers leave it out.
        0 => Ok(Layout::Rows(raw, row)),
        stride if stride >= row => Ok(Layout::Rows(raw, stride)),
        stride => {
            Err(format!("its rows have {row} bytes, but begin every {stride} bytes: its driver is broken"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stop;

    const ANSWER: Answer = Answer { fourcc: YUYV, width: 2, height: 2, stride: 4 };

    #[test]
    fn mjpg_is_preferred_to_yuyv_and_nothing_else_is_taken() {
        assert_eq!(choose(&[*b"RGB3", YUYV, MJPG]), Ok(MJPG));
        assert_eq!(choose(&[*b"RGB3", YUYV]), Ok(YUYV));
        let error = choose(&[*b"pRAA", *b"RG10"]).unwrap_err();
        assert!(error.contains("neither MJPG nor YUYV, but [pRAA, RG10]"), "{error}");
    }

    #[test]
    fn the_answer_of_the_driver_counts() {
        let raw = Raw::new(2, 2, RawFormat::Yuyv).unwrap();
        for (stride, expected) in [(0, 4), (4, 4), (64, 64)] {
            assert_eq!(layout(YUYV, Answer { stride, ..ANSWER }), Ok(Layout::Rows(raw, expected)));
        }
        assert_eq!(layout(MJPG, Answer { fourcc: MJPG, stride: 0, ..ANSWER }), Ok(Layout::Jpeg));
        assert!(layout(YUYV, Answer { stride: 3, ..ANSWER }).unwrap_err().contains("its driver is broken"));
        assert!(layout(MJPG, ANSWER).unwrap_err().contains("set to MJPG but delivers YUYV"));
        assert!(layout(YUYV, Answer { width: 0, ..ANSWER }).is_err());
    }

    #[test]
    fn padding_of_rows_is_left_out_and_half_a_picture_is_damaged() {
        let layout = layout(YUYV, Answer { stride: 6, ..ANSWER }).unwrap();
        let buffer = [16, 128, 235, 128, 0, 0, 235, 128, 16, 128];
        assert_eq!(layout.picture(&buffer).unwrap().bytes().unwrap(), [16, 128, 235, 128, 235, 128, 16, 128]);
        assert_eq!(layout.picture(&buffer[..9]), None);
        assert_eq!(Layout::Jpeg.picture(b"\xff\xd8\xff\xda no end"), None);
        let jpeg = b"\xff\xd8\xff\xda\x00\x02 picture\xff\xd9";
        let padded = [&jpeg[..], &[0; 40]].concat();
        assert_eq!(Layout::Jpeg.picture(&padded).unwrap().bytes(), Some(&jpeg[..]));
    }

    #[test]
    fn a_camera_that_is_not_there_is_named() {
        let options = CameraOptions { device: "/dev/no-camera".into(), width: 640, height: 480, fps: 30 };
        let mut camera = Camera::new(Context::new("door", &Stop::new().unwrap()), options);
        let error = camera.next().unwrap_err().to_string();
        assert!(error.contains("the camera /dev/no-camera: cannot open it"), "{error}");
        assert!(error.contains("group video"), "{error}");
    }
}
