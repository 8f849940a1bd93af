"""JPEG files."""

import io

import numpy as np
from PIL import Image, ImageCms

import formats
import icc
import jpeg
import scene

COLOUR, GREY, NIGHT = scene.colour(), scene.grey(), scene.night()
SAMPLINGS = {
    "444": [(1, 1), (1, 1), (1, 1)],
    "422": [(2, 1), (1, 1), (1, 1)],
    "440": [(1, 2), (1, 1), (1, 1)],
    "420": [(2, 2), (1, 1), (1, 1)],
    "411": [(4, 1), (1, 1), (1, 1)],
    "3x1": [(3, 1), (1, 1), (1, 1)],
    "2x2-2x1": [(2, 2), (2, 1), (2, 1)],
}
DAMAGED = "damaged or cut off"


def pillow(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **{"quality": 92, **options})
    return buffer.getvalue()


def decoded(content):
    """Returns the pixels as libjpeg-turbo decodes them."""
    image = Image.open(io.BytesIO(content))
    image.load()
    return np.asarray(image if image.mode == "L" else image.convert("RGB"))


def own(sampling="420", **options):
    return jpeg.encode(jpeg.to_ycc(COLOUR), SAMPLINGS[sampling], **options)


def converted(image, profile):
    """Returns the pixels as Little CMS converts them to sRGB."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    target = ImageCms.createProfile("sRGB")
    image = Image.fromarray(image)
    return np.asarray(ImageCms.profileToProfile(image, source, target, renderingIntent=1, outputMode="RGB"))


def add_all(corpus):
    def add(name, content, case, reference=None, **expected):
        if reference is None and "refusal" not in expected:
            reference = decoded(content)
        corpus.add(f"images/{name}", content, case, reference, **{"stream": "mjpeg", **expected})

    add_usual(add)
    add_unusual(add)
    add_surroundings(add)
    add_damaged(corpus, add)
    add_exif(add)
    add_profiles(add)
    add_unsupported(add)


def add_usual(add):
    image = Image.fromarray(COLOUR)
    for subsampling, name in enumerate(["444", "422", "420"]):
        add(f"baseline-{name}.jpg", pillow(image, subsampling=subsampling), f"baseline 4:{name[1]}:{name[2]}")
        progressive = pillow(image, subsampling=subsampling, progressive=True)
        add(f"progressive-{name}.jpg", progressive, f"progressive 4:{name[1]}:{name[2]}")
    add("baseline-grey.jpg", pillow(Image.fromarray(GREY)), "baseline grey")
    add("progressive-grey.jpg", pillow(Image.fromarray(GREY), progressive=True), "progressive grey")
    add("optimised.jpg", pillow(image, optimize=True), "Huffman tables of its own")
    add("restart.jpg", pillow(image, restart_marker_blocks=2), "restart markers")
    add("rgb.jpg", pillow(image, keep_rgb=True, subsampling=0), "RGB instead of YCbCr, as Adobe's marker says")
    add("quality-100.jpg", pillow(image, quality=100, subsampling=0), "the finest quantisation")
    add("quality-5.jpg", pillow(image, quality=5), "the coarsest quantisation", decibels=35)
    odd = Image.fromarray(scene.colour(37, 29))
    add("odd-size.jpg", pillow(odd), "sides that are no multiples of a block", decibels=38)
    add("one-pixel.jpg", pillow(Image.fromarray(COLOUR[:1, :1])), "one pixel")
    cmyk = pillow(image.convert("CMYK"), subsampling=0)
    add("cmyk.jpg", cmyk, "CMYK, as Adobe's programs write it", decibels=38)
    night = pillow(Image.fromarray(NIGHT).convert("RGB"))
    add("night.jpg", night, "an infrared camera at night: colour without colours", decoded(night)[..., 1])


def add_unusual(add):
    for name in SAMPLINGS:
        content = own(name, interleaved=False)
        add(f"non-interleaved-{name}.jpg", content, f"a scan for each component, sampling {name}", decibels=38)
    add("sampling-440.jpg", own("440"), "half the height of chroma")
    add("sampling-411.jpg", own("411"), "a quarter of the width of chroma", decibels=36)
    add("sampling-3x1.jpg", own("3x1"), "a third of the width of chroma", decibels=36)
    add("sampling-2x2-2x1.jpg", own("2x2-2x1"), "chroma with half the height, written as 2x2 and 2x1", decibels=38)
    restarts = own("420", interleaved=False, restart_interval=3)
    add("non-interleaved-restart.jpg", restarts, "a scan for each component, with restart markers", decibels=38)
    webcam = own("422", with_tables=False)
    expected = decoded(own("422"))
    add("no-huffman-tables.jpg", webcam, "a frame of a webcam without Huffman tables", expected, notes="standard-huffman-tables")
    grey = jpeg.encode([GREY.astype(float)], [(1, 1)], with_tables=False)
    expected = decoded(jpeg.encode([GREY.astype(float)], [(1, 1)]))
    add("no-huffman-tables-grey.jpg", grey, "a grey frame without Huffman tables", expected, notes="standard-huffman-tables")
    add("lines-behind-scan.jpg", own("420", lines_behind_scan=True), "the height behind the scan", decoded(own("420")), decibels=38)


def add_surroundings(add):
    plain = own("444")
    expected = decoded(plain)
    parts = {
        "multipart.jpg": (
            b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(plain),
            "the header of an HTTP multipart stream before the image",
        ),
        "http-header.jpg": (b"HTTP/1.0 200 OK\r\nServer: camera\r\n\r\n", "an HTTP header before the image"),
        "leading-bytes.jpg": (bytes(range(1, 200)), "bytes before the image"),
        "leading-4000.jpg": (b"\0" * 4000, "4000 zeros before the image"),
    }
    for name, (before, case) in parts.items():
        add(name, before + plain, case, expected, notes="leading-bytes")
    late = b"\0" * 5000 + plain
    add("leading-5000.jpg", late, "too many bytes before the image", refusal="not an image of a known format", stream="-")
    add("trailing-zeros.jpg", plain + bytes(300), "zeros behind the image", expected)
    add("trailing-text.jpg", plain + b"\r\n--frame--\r\n", "a boundary behind the image", expected)
    add("no-end.jpg", plain[:-2], "no end of image, as some cameras write it", expected)
    fill = plain.replace(b"\xff\xda", b"\xff\xff\xff\xda")
    add("fill-bytes.jpg", fill, "fill bytes before a marker", expected)
    comment = jpeg.insert(plain, jpeg.segment(0xFE, b"\xff\xd8\xff a comment"))
    add("marker-in-comment.jpg", comment, "a comment that contains a start of image", expected)
    thumbnail = jpeg.insert(plain, jpeg.segment(0xE1, b"thumb\0" + pillow(Image.fromarray(GREY[:8, :8]))))
    add("thumbnail.jpg", thumbnail, "a small image in a segment", expected)
    add("two-images.jpg", plain + pillow(Image.fromarray(NIGHT)), "a second image behind the first", expected, stream="-")
    add("a-jpeg.png", plain, "JPEG with the name of a PNG file", expected)
    for name in ["ending.JPG", "ending-jpe.jpe", "ending-jfif.jfif", "ending-underscore.jpg_", "ending-none"]:
        add(name, plain, "the name says little, the content decides", expected, stream="-")


def add_damaged(corpus, add):
    baseline = own("420")
    for percent in [10, 50, 90, 99]:
        content = jpeg.cut(baseline, percent / 100)
        add(f"cut-baseline-{percent}.jpg", content, f"baseline, cut off at {percent} %", refusal=DAMAGED)
    marked = "damaged_images=mark"
    # The chroma of the rows after these comes from two rows of blocks.
    first = decoded(baseline)[:14]
    name = "images/cut-baseline-90.jpg"
    corpus.add(name, None, "baseline, cut off at 90 %, marked: the first rows are right", first, 36, options=marked, notes="damaged rows=14")
    progressive = pillow(Image.fromarray(COLOUR), progressive=True)
    for number in [1, 4]:
        start = jpeg.scan_start(progressive, number)
        add(f"cut-progressive-{number}.jpg", progressive[: start + 9], f"progressive, cut off in scan {number + 1}", refusal=DAMAGED)
    corpus.add(
        "images/cut-progressive-4.jpg", None, "progressive, cut off in a late scan, marked", COLOUR, 25, options=marked, notes="damaged"
    )
    restarts = own("444", restart_interval=2, drop_restart=True)
    add("lost-restart.jpg", restarts, "the bytes between two restart markers are lost", refusal=DAMAGED)
    separate = own("420", interleaved=False)
    second = jpeg.scan_start(separate, 1)
    add("cut-non-interleaved.jpg", separate[: second + 5], "cut off in the second of three scans", refusal=DAMAGED)
    add("cut-grey.jpg", jpeg.cut(pillow(Image.fromarray(GREY)), 0.5), "grey, cut off at 50 %", refusal=DAMAGED)
    header = baseline[: baseline.index(b"\xff\xc4") + 20]
    add("cut-header.jpg", header, "cut off in the Huffman tables", refusal=DAMAGED)
    add("cut-before-frame.jpg", baseline[:30], "cut off before the size is known", refusal=DAMAGED)


def add_exif(add):
    plain = own("444")
    upright = decoded(plain)
    # The way from the stored to the shown image (EXIF 2.32, 4.6.4).
    shown = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, -1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright),
    }
    for number, expected in shown.items():
        block = formats.exif([(0x0112, 3, number)], "<" if number % 2 else ">")
        content = jpeg.insert(plain, jpeg.segment(0xE1, b"Exif\0\0" + block))
        add(f"exif-{number}.jpg", content, f"EXIF orientation {number}", np.ascontiguousarray(expected))
    impossible = formats.exif([(0x0112, 3, 9)])
    content = jpeg.insert(plain, jpeg.segment(0xE1, b"Exif\0\0" + impossible))
    add("exif-impossible.jpg", content, "EXIF orientation 9, which does not exist", upright)
    damaged = jpeg.insert(plain, jpeg.segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\x05\0"))
    add("exif-damaged.jpg", damaged, "an EXIF block that ends in its directory", upright, notes="damaged-exif")
    block = formats.exif(
        [(0x010F, 2, "Own")],
        ">",
        [(0x9003, 2, "2024:06:01 12:34:56"), (0x9011, 2, "+02:00"), (0x9291, 2, "25")],
        [
            (0x0001, 2, "N"),
            (0x0002, 5, [(47, 1), (22, 1), (1234, 100)]),
            (0x0003, 2, "W"),
            (0x0004, 5, [(8, 1), (33, 1), (0, 1)]),
            (0x0005, 1, 1),
            (0x0006, 5, [(4085, 10)]),
        ],
    )
    content = jpeg.insert(plain, jpeg.segment(0xE1, b"Exif\0\0" + block))
    notes = "captured_ms=1717238096250 latitude=47.370094 longitude=-8.550000 altitude=-408.5"
    add("exif-time-place.jpg", content, "time and place in EXIF", upright, notes=notes)


def add_profiles(add):
    plain = pillow(Image.fromarray(COLOUR), subsampling=0, quality=98)
    stored = decoded(plain)
    for name, primaries, gamma in [("display-p3", icc.DISPLAY_P3, 2.2), ("rec-2020", icc.REC_2020, 1.8), ("gamma-1", icc.SRGB, 1.0)]:
        profile = icc.colour_profile(primaries, gamma)
        content = jpeg.insert(plain, jpeg.segment(0xE2, b"ICC_PROFILE\0\x01\x01" + profile))
        add(f"icc-{name}.jpg", content, f"a colour profile: {name}", converted(stored, profile), decibels=38)
    profile = icc.colour_profile(icc.DISPLAY_P3, 2.2)
    parts = [profile[:200], profile[200:]]
    segments = [jpeg.segment(0xE2, b"ICC_PROFILE\0" + bytes([number, 2]) + part) for number, part in enumerate(parts, 1)]
    add("icc-two-parts.jpg", jpeg.insert(plain, *reversed(segments)), "a profile in two segments, the last one first", converted(stored, profile), decibels=38)
    srgb = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    # The time of its creation.
    srgb[24:36] = bytes(12)
    add("icc-srgb.jpg", jpeg.insert(plain, jpeg.segment(0xE2, b"ICC_PROFILE\0\x01\x01" + srgb)), "the profile of sRGB itself", stored, decibels=45)
    broken = jpeg.insert(plain, jpeg.segment(0xE2, b"ICC_PROFILE\0\x01\x01" + profile[:90]))
    add("icc-damaged.jpg", broken, "a damaged profile", stored, notes="colour-profile-ignored")
    grey = pillow(Image.fromarray(GREY), quality=98)
    content = jpeg.insert(grey, jpeg.segment(0xE2, b"ICC_PROFILE\0\x01\x01" + icc.grey_profile(1.8)))
    expected = scene.to_srgb((decoded(grey) / 255) ** (461 / 256))
    add("icc-grey.jpg", content, "a profile of grey", expected, decibels=38)


def add_unsupported(add):
    plain = own("420")
    start = plain.index(b"\xff\xc0")

    def with_process(marker, precision=8):
        frame = bytearray(plain)
        frame[start + 1], frame[start + 4] = marker, precision
        return bytes(frame)

    add("arithmetic.jpg", with_process(0xC9), "arithmetic coding", refusal="arithmetic coding is not supported")
    add("twelve-bits.jpg", with_process(0xC1, 12), "12 bits per sample", refusal="12 bits per sample is not supported")
    add("lossless.jpg", with_process(0xC3), "lossless JPEG", refusal="lossless or hierarchical JPEG is not supported")
    add("hierarchical.jpg", with_process(0xC5), "hierarchical JPEG", refusal="lossless or hierarchical JPEG is not supported")
    two = jpeg.encode(jpeg.to_ycc(COLOUR)[:2], [(1, 1), (1, 1)])
    add("two-components.jpg", two, "two components", refusal="two, or more than four components is not supported")
    huge = own("420", size_in_header=(60000, 60000))
    add("huge.jpg", huge, "a header of 60000×60000 pixels", refusal="over the limit of")
    add("no-lines.jpg", own("420", size_in_header=(0, 48)), "no height at all", refusal="it has no height")
