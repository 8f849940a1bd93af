//! Images from byte streams: the result does not depend on how the bytes are split into reads.

use std::{
    io::{self, Cursor, Read},
    time::{Duration, SystemTime},
};

use image::{DynamicImage, GrayImage, ImageFormat, Luma, RgbImage};
use lopside_capture::{
    CaptureError, Captured, CapturedImage, CapturedInput, InputCounts, Source, SourceContext, StopHandle,
    stream::{
        ImageStreamOptions, ImageStreamReader, RawFormat, RawLayout, StreamContent, StreamFormat,
        StreamSource,
    },
};
use lopside_input::InputLimits;
use proptest::prelude::*;

/// A reader whose reads return at most these numbers of bytes, in turn.
struct Split<'a> {
    bytes: &'a [u8],
    sizes: Vec<usize>,
    read_count: usize,
}

impl Read for Split<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_count += 1;
        let size = self.sizes[self.read_count % self.sizes.len()].min(buffer.len());
        (&mut self.bytes).take(size as u64).read(buffer)
    }
}

fn jpeg(seed: u8) -> Vec<u8> {
    let (width, height) = (17 + u32::from(seed % 5), 9);
    let image = RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([(x * 13) as u8 ^ seed, (y * 29) as u8, seed.wrapping_mul(7)])
    });
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

fn pnm(seed: u8) -> Vec<u8> {
    let (width, height) = (1 + usize::from(seed % 4), 3);
    let (magic, pixel_bytes) = [("P5", 1), ("P6", 3)][usize::from(seed % 2)];
    let mut bytes = format!("{magic} # {seed}\n{width} {height}\n255\n").into_bytes();
    bytes.extend((0..width * height * pixel_bytes).map(|index| index as u8 ^ seed));
    bytes
}

fn images(reader: impl Read, options: ImageStreamOptions) -> (Vec<CapturedImage>, InputCounts) {
    let mut stream = ImageStreamReader::new(reader, options).unwrap();
    let found = std::iter::from_fn(|| stream.next_image().unwrap()).collect();
    (found, stream.input_counts())
}

fn options_for(format: StreamFormat) -> ImageStreamOptions {
    ImageStreamOptions { format, ..ImageStreamOptions::default() }
}

fn collect_bytes(images: &[CapturedImage]) -> Vec<Vec<u8>> {
    images.iter().map(|image| image.bytes().unwrap().to_vec()).collect()
}

/// Generates bytes between JPEG files, some of which look like parts of a JPEG file.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let item = prop_oneof![
        prop::collection::vec(any::<u8>().prop_filter("no marker", |&byte| byte != 0xff), 0..40),
        Just(b"\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n".to_vec()),
        Just(vec![0xff]),
        Just(vec![0xff, 0xd8]),
        Just(vec![0xff, 0xd9]),
        Just(vec![0xff, 0xd8, 0xff]),
        Just(vec![0xff, 0xd8, 0xff, 0xda, 0, 3, 1]),
        any::<u8>().prop_map(|seed| jpeg(seed)[..100].to_vec()),
        any::<u8>().prop_map(|seed| {
            let file = jpeg(seed);
            file[..file.len() - 2].to_vec()
        }),
    ];
    prop::collection::vec(item, 0..4).prop_map(|items| items.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_gives_the_same_images_and_garbage_loses_none(
        parts in prop::collection::vec((garbage(), any::<u8>()), 1..6),
        sizes in prop::collection::vec(1_usize..2000, 1..6),
    ) {
        let files: Vec<Vec<u8>> = parts.iter().map(|(_, seed)| jpeg(*seed)).collect();
        let stream: Vec<u8> = parts.iter().flat_map(|(gap, seed)| [gap.clone(), jpeg(*seed)].concat()).collect();
        let (unsplit, counts) = images(&stream[..], options_for(StreamFormat::Mjpeg));
        // Garbage may be taken for a file, but must not hide a real one.
        let found = collect_bytes(&unsplit);
        let mut rest = found.iter();
        prop_assert!(files.iter().all(|file| rest.any(|found| found == file)));
        let split = Split { bytes: &stream, sizes, read_count: 0 };
        prop_assert_eq!(images(split, options_for(StreamFormat::Mjpeg)), (unsplit, counts));
    }

    #[test]
    fn pnm_files_are_returned_unchanged(
        parts in prop::collection::vec((prop::sample::select(vec!["", "\n", "P5 x", "PPP6\tP"]), any::<u8>()), 1..9),
        sizes in prop::collection::vec(1_usize..50, 1..6),
    ) {
        let files: Vec<Vec<u8>> = parts.iter().map(|(_, seed)| pnm(*seed)).collect();
        let stream: Vec<u8> = parts.iter().flat_map(|(gap, seed)| [gap.as_bytes().to_vec(), pnm(*seed)].concat()).collect();
        let split = Split { bytes: &stream, sizes, read_count: 0 };
        let (found, _) = images(split, options_for(StreamFormat::Pnm));
        prop_assert_eq!(collect_bytes(&found), files);
    }

    #[test]
    fn no_bytes_panic_or_exceed_the_limit(
        items in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            prop::collection::vec(prop::sample::select(&b"\xff\xd8\xd9\xda\xe0\x00\x02P56 \n#129"[..]), 0..60),
            any::<u8>().prop_map(jpeg),
        ], 0..60),
        format in prop::sample::select(vec![StreamFormat::Mjpeg, StreamFormat::Pnm, StreamFormat::Png]),
    ) {
        let stream = items.concat();
        let (found, counts) = images(&stream[..], ImageStreamOptions { format, max_image_bytes: 4096 });
        let used: usize = found.iter().map(|image| image.bytes().unwrap().len()).sum();
        prop_assert_eq!(used + counts.skipped as usize, stream.len(), "every byte must be in an image or counted as skipped");
        for image in found {
            prop_assert!(image.bytes().unwrap().len() <= 4096);
            if let Ok(image) = image.decode() {
                prop_assert!(image.width() > 0);
            }
        }
    }

    #[test]
    fn raw_images_follow_each_other(count in 0_usize..6, rest in 0_usize..12, sizes in prop::collection::vec(1_usize..30, 1..4)) {
        let raw = RawLayout::new(2, 2, RawFormat::Rgb24).unwrap();
        let stream: Vec<u8> = (0..12 * count + rest).map(|index| index as u8).collect();
        let (found, counts) = images(Split { bytes: &stream, sizes, read_count: 0 }, options_for(StreamFormat::Raw(raw)));
        prop_assert_eq!(collect_bytes(&found).concat(), &stream[..12 * count]);
        prop_assert_eq!((found.len(), counts.damaged), (count, u64::from(rest > 0)));
    }
}

#[test]
fn a_truncated_file_does_not_spoil_the_next_one() {
    let (cut, next) = (jpeg(1), jpeg(2));
    let expected =
        CapturedImage::decode(images(&next[..], options_for(StreamFormat::Mjpeg)).0.remove(0)).unwrap();
    for len in 0..cut.len() {
        let stream = [&cut[..len], &next[..]].concat();
        let (found, _) = images(&stream[..], options_for(StreamFormat::Mjpeg));
        let decoded = found.last().unwrap().clone().decode().unwrap();
        assert_eq!(decoded, expected, "{len} of {}", cut.len());
    }
}

#[test]
fn an_image_over_the_limit_is_skipped_and_counted() {
    let mut large = jpeg(1);
    large.splice(large.len() - 2..large.len() - 2, vec![7; 9000]);
    let stream = [jpeg(2), large, jpeg(3)].concat();
    let (found, counts) =
        images(&stream[..], ImageStreamOptions { format: StreamFormat::Mjpeg, max_image_bytes: 4096 });
    assert_eq!(collect_bytes(&found), [jpeg(2), jpeg(3)]);
    assert_eq!(counts.damaged, 1);
}

#[test]
fn the_format_is_detected_from_the_first_start() {
    let part = [b"HTTP/1.0 200 OK\r\n\r\n--frame\r\n\r\n".to_vec(), jpeg(4)].concat();
    assert_eq!(collect_bytes(&images(&part[..], ImageStreamOptions::default()).0), [jpeg(4)]);
    assert_eq!(collect_bytes(&images(&pnm(5)[..], ImageStreamOptions::default()).0), [pnm(5)]);
    assert_eq!(images(&b""[..], ImageStreamOptions::default()), (Vec::new(), InputCounts::default()));
    let mut stream = StreamSource::new(
        context(),
        &b"RIFF....AVI "[..],
        StreamContent::Images(ImageStreamOptions::default()),
    )
    .unwrap();
    let error = stream.next().unwrap_err();
    assert!(matches!(error, CaptureError::UnknownStream { .. }), "{error}");
    assert!(error.to_string().contains("camera begins with [52, 49, 46, 46"), "{error}");
}

#[test]
fn png_files_are_detected_and_decoded() {
    let image = RgbImage::from_fn(9, 5, |x, y| image::Rgb([x as u8, y as u8, 77]));
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, ImageFormat::Png).unwrap();
    let file = file.into_inner();
    let stream = [&b"--frame\r\n\r\n"[..], &file, &file[..20], &file].concat();
    for sizes in [vec![1], vec![7, 40], vec![5000]] {
        let split = Split { bytes: &stream, sizes, read_count: 0 };
        let (found, counts) = images(split, ImageStreamOptions::default());
        assert_eq!((collect_bytes(&found), counts.damaged), (vec![file.clone(), file.clone()], 1));
        assert_eq!(found[0].clone().decode().unwrap(), image.clone().into());
    }
}

#[test]
fn y4m_images_are_decoded_by_the_header_of_their_stream() {
    let frame = |samples: &[u8]| [&b"FRAME\n"[..], samples].concat();
    let stream = [
        b"YUV4MPEG2 W2 H2 F25:1 Ip A1:1 C420jpeg\n".to_vec(),
        frame(&[16, 235, 235, 16, 128, 128]),
        frame(&[235, 16, 16, 235, 128, 128]),
        b"YUV4MPEG2 W2 H1 C444 XCOLORRANGE=FULL\n".to_vec(),
        frame(&[0, 255, 128, 128, 128, 128]),
    ]
    .concat();
    let (black, white) = ([0_u8; 3], [255_u8; 3]);
    let expected = [
        [black, white, white, black].concat(),
        [white, black, black, white].concat(),
        [black, white].concat(),
    ];
    for sizes in [vec![1], vec![3, 11], vec![5000]] {
        let split = Split { bytes: &stream, sizes, read_count: 0 };
        let (found, counts) = images(split, ImageStreamOptions::default());
        let pixels: Vec<Vec<u8>> =
            found.into_iter().map(|image| image.decode().unwrap().to_rgb8().into_raw()).collect();
        assert_eq!(pixels, expected);
        assert_eq!((counts.captured, counts.damaged, counts.skipped), (3, 0, 0));
    }
}

#[test]
fn a_kind_of_y4m_that_is_not_supported_is_named() {
    let content = StreamContent::Images(ImageStreamOptions::default());
    let stream = &b"YUV4MPEG2 W2 H2 C420p10\nFRAME\n"[..];
    let mut stream = StreamSource::new(context(), stream, content).unwrap();
    let error = stream.next().unwrap_err();
    assert!(matches!(error, CaptureError::UnsupportedStream { .. }), "{error}");
    assert!(error.to_string().contains("-pix_fmt yuv420p"), "{error}");
    assert!(stream.next().unwrap().is_none());
}

#[test]
fn a_jpeg_file_without_its_end_is_left_to_the_decoder() {
    let whole = jpeg(3);
    let cut = whole[..whole.len() - 2].to_vec();
    let stream = [&cut[..], &whole, &cut].concat();
    let (found, counts) = images(&stream[..], options_for(StreamFormat::Mjpeg));
    assert_eq!(collect_bytes(&found), [cut.clone(), whole, cut]);
    assert_eq!((counts.captured, counts.damaged, counts.skipped), (3, 0, 0));
}

#[test]
fn pnm_of_any_depth_is_decoded() {
    let file = |header: &str, samples: &[u8]| [header.as_bytes(), samples].concat();
    let stream = [
        file("P5 2 1 255\n", &[0, 200]),
        file("P5\n#deep\n2 1 65535\n", &[0, 1, 0x12, 0x34]),
        file("P6 1 1 255\n", &[1, 2, 3]),
        file("P5 2 1 7\n", &[7, 0]),
    ]
    .concat();
    let (found, _) = images(&stream[..], options_for(StreamFormat::Pnm));
    let decoded: Vec<DynamicImage> = found.into_iter().map(|image| image.decode().unwrap()).collect();
    assert_eq!(decoded[0], GrayImage::from_raw(2, 1, vec![0, 200]).unwrap().into());
    let deep = image::ImageBuffer::<Luma<u16>, _>::from_raw(2, 1, vec![1, 0x1234]).unwrap();
    assert_eq!(decoded[1], deep.into());
    assert_eq!(decoded[2], RgbImage::from_raw(1, 1, vec![1, 2, 3]).unwrap().into());
    assert_eq!(decoded[3], GrayImage::from_raw(2, 1, vec![255, 0]).unwrap().into());
}

#[test]
fn an_image_over_the_maximum_size_is_not_decoded() {
    // The header declares 20000×20000 pixels, more than may be decoded.
    let mut file = jpeg(0);
    let size = file.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap() + 5;
    file[size..size + 4].copy_from_slice(&[0x4e, 0x20, 0x4e, 0x20]);
    let (mut found, _) = images(&file[..], options_for(StreamFormat::Mjpeg));
    let error = found.remove(0).decode().unwrap_err();
    assert!(matches!(error, CaptureError::DecodeImage(_)));
    assert!(error.to_string().contains("20000×20000 pixels is over the limit of 40000000 pixels"), "{error}");
}

#[test]
fn a_caller_may_lower_the_limits_of_every_format() {
    let raw = RawLayout::new(2, 2, RawFormat::Grey8).unwrap();
    let limits = |max_pixels| InputLimits { max_pixels, ..InputLimits::default() };
    for (format, file) in
        [(StreamFormat::Raw(raw), vec![1, 2, 3, 4]), (StreamFormat::Pnm, b"P5 2 2 255 1234".to_vec())]
    {
        let image = images(&file[..], options_for(format)).0.remove(0);
        assert!(image.clone().decode_within(&limits(4)).is_ok());
        let error = image.decode_within(&limits(3)).unwrap_err().to_string();
        assert!(error.contains("2×2 pixels is over the limit of 3 pixels"), "{error}");
    }
}

#[test]
fn a_limit_below_a_raw_image_is_refused() {
    let raw = RawLayout::new(100, 100, RawFormat::Rgb24).unwrap();
    let options = ImageStreamOptions { format: StreamFormat::Raw(raw), max_image_bytes: 29_999 };
    let error = ImageStreamReader::new(&b""[..], options).err().unwrap().to_string();
    assert!(error.contains("29999 bytes is too small for these images: allow at least 30000"), "{error}");
}

#[test]
fn a_stream_is_a_source() {
    let before = SystemTime::now();
    let mut stream = StreamSource::new(
        context(),
        Cursor::new(jpeg(6)),
        StreamContent::Images(ImageStreamOptions::default()),
    )
    .unwrap();
    let Captured { captured_at, source_name, input: CapturedInput::Image(image) } =
        stream.next().unwrap().unwrap()
    else {
        panic!()
    };
    assert!(captured_at.duration_since(before).unwrap() < Duration::from_hours(1));
    assert_eq!((&*source_name, image.bytes().unwrap().len()), ("camera", jpeg(6).len()));
    assert!(stream.next().unwrap().is_none());
    assert_eq!(stream.input_counts().captured, 1);
}

#[test]
fn a_stopped_stream_returns_nothing_more() {
    let context = context();
    context.stop.stop();
    let mut stream = StreamSource::new(
        context,
        Cursor::new(jpeg(6)),
        StreamContent::Images(ImageStreamOptions::default()),
    )
    .unwrap();
    assert!(stream.next().unwrap().is_none());
    assert_eq!(stream.input_counts().captured, 0);
}

fn context() -> SourceContext {
    SourceContext::new("camera", &StopHandle::new().unwrap())
}
