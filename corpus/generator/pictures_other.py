"""WebP, BMP, TIFF, GIF, QOI and PNM files."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

import formats
import icc
import scene
from pictures_jpeg import converted, decoded
from pictures_png import DARK, WHITE, deep, palette_image, quantised

COLOUR, GREY, ALPHA = scene.colour(), scene.grey(), scene.alpha()
DAMAGED = "damaged or cut off"


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def add_all(corpus):
    def add(name, content, case, reference=None, **expected):
        corpus.add(f"images/{name}", content, case, reference, **{"decibels": 48, **expected})

    add_webp(corpus, add)
    add_bmp(add)
    add_tiff(corpus, add)
    add_gif(corpus, add)
    add_qoi(corpus, add)
    add_pnm(add)


def add_webp(corpus, add):
    image = Image.fromarray(COLOUR)
    lossy = saved(image, "WEBP", quality=90)
    add("lossy.webp", lossy, "lossy", decoded(lossy), decibels=38)
    lossless = saved(image, "WEBP", lossless=True)
    add("lossless.webp", lossless, "without loss", COLOUR)
    hidden = np.dstack([COLOUR, ALPHA])
    rgba = saved(Image.fromarray(hidden), "WEBP", lossless=True, exact=True)
    add("alpha.webp", rgba, "transparency, without loss", scene.over(COLOUR, ALPHA, WHITE))
    corpus.add("images/alpha.webp", None, "transparency on a dark background", scene.over(COLOUR, ALPHA, DARK), 48, options="background=#102030")
    alpha_lossy = saved(Image.fromarray(hidden), "WEBP", quality=90)
    shown = np.asarray(Image.open(io.BytesIO(alpha_lossy)).convert("RGBA"))
    add("alpha-lossy.webp", alpha_lossy, "transparency, lossy", scene.over(shown[..., :3], shown[..., 3], WHITE), decibels=38)
    oriented = saved(image, "WEBP", lossless=True, exif=formats.exif([(0x0112, 3, 6)]))
    add("exif-6.webp", oriented, "EXIF orientation 6", np.ascontiguousarray(np.rot90(COLOUR, -1)))
    profile = icc.colour_profile(icc.DISPLAY_P3, 2.2)
    add("icc-p3.webp", saved(image, "WEBP", lossless=True, icc_profile=profile), "a colour profile", converted(COLOUR, profile), decibels=38)
    second = Image.fromarray(COLOUR[::-1].copy())
    animated = saved(image, "WEBP", lossless=True, save_all=True, append_images=[second], duration=100)
    add("animated.webp", animated, "an animation: the first image", COLOUR, notes="first-of-several")
    add("cut.webp", lossy[: len(lossy) // 2], "cut off at 50 %", refusal=DAMAGED)


def add_bmp(add):
    height, width = GREY.shape
    image = Image.fromarray(COLOUR)
    add("rgb-24.bmp", saved(image, "BMP"), "24 bits", COLOUR)
    rows = COLOUR[..., ::-1].tobytes()
    add("top-down.bmp", formats.bmp(rows, 24, width, -height), "the top row first", COLOUR)
    palette, indices, expected = palette_image(64)
    entries = np.pad(palette[:, ::-1], [(0, 0), (0, 1)]).tobytes()
    add("palette-8.bmp", formats.bmp(indices[::-1].tobytes(), 8, width, height, palette=entries), "a palette of 64 colours", expected)
    encoded = formats.bmp_rle8(indices.tolist())
    add("rle-8.bmp", formats.bmp(encoded, 8, width, height, compression=1, palette=entries), "run lengths", expected)
    add("one-bit.bmp", saved(Image.fromarray(GREY > 128), "BMP"), "black and white", ((GREY > 128) * 255).astype(np.uint8))
    five = (COLOUR.astype(int) * [31, 63, 31] + 127) // 255
    packed = (five[..., 0] << 11 | five[..., 1] << 5 | five[..., 2]).astype("<u2")
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    content = formats.bmp(packed[::-1].tobytes(), 16, width, height, compression=3, masks=masks)
    add("rgb-565.bmp", content, "16 bits: 5, 6 and 5", np.rint(five * 255 / [31, 63, 31]).astype(np.uint8), decibels=44)
    whole = saved(image, "BMP")
    add("cut.bmp", whole[: len(whole) // 2], "cut off at 50 %", refusal=DAMAGED)


def add_tiff(corpus, add):
    image = Image.fromarray(COLOUR)
    for name, compression in [("lzw", "tiff_lzw"), ("deflate", "tiff_adobe_deflate"), ("packbits", "packbits")]:
        add(f"{name}.tif", saved(image, "TIFF", compression=compression), f"compressed: {name}", COLOUR)
    add("little-endian.tif", formats.tiff(COLOUR), "without compression, little-endian", COLOUR)
    add("big-endian-16.tiff", formats.tiff(deep(COLOUR), ">"), "16 bits, big-endian", COLOUR)
    add("grey-16.tif", formats.tiff(deep(GREY)), "grey, 16 bits", GREY)
    add("white-is-zero.tif", formats.tiff(255 - GREY, photometric=0), "grey from white to black", GREY)
    oriented = formats.tiff(COLOUR, tags=[(274, 3, [8])])
    add("orientation-8.tif", oriented, "orientation 8", np.ascontiguousarray(np.rot90(COLOUR)))
    rgba = np.dstack([COLOUR, ALPHA])
    straight = formats.tiff(rgba, tags=[(338, 3, [2])])
    add("alpha.tif", straight, "transparency", scene.over(COLOUR, ALPHA, WHITE))
    corpus.add("images/alpha.tif", None, "transparency on a dark background", scene.over(COLOUR, ALPHA, DARK), 48, options="background=#102030")
    profile = icc.colour_profile(icc.DISPLAY_P3, 2.2)
    content = formats.tiff(COLOUR, tags=[(34675, 7, list(profile))])
    add("icc-p3.tif", content, "a colour profile", converted(COLOUR, profile), decibels=38)
    pages = saved(image, "TIFF", save_all=True, append_images=[Image.fromarray(GREY)], compression="tiff_lzw")
    add("two-pages.tif", pages, "two pages: the first", COLOUR, notes="first-of-several")
    add_tiled_tiff(add)
    strips = saved(image, "TIFF", compression="jpeg", quality=95)
    add("jpeg-strips.tif", strips, "compressed: JPEG, in strips with shared tables", decoded(strips), decibels=38)
    whole = formats.tiff(COLOUR)
    add("cut.tif", whole[: len(whole) // 2], "cut off at 50 %, before its directory", refusal="damaged")
    raw = formats.tiff(COLOUR, tags=[(0xC612, 1, [1, 4, 0, 0])])
    add("raw.dng", raw, "a camera's raw format in a TIFF file", refusal="a camera's raw format is not supported")


def add_tiled_tiff(add):
    plain = formats.tiled_tiff(COLOUR, 32, lambda tile: tile.tobytes(), 1)
    add("tiles.tif", plain, "in tiles that end beyond the edges", COLOUR)
    deflated = formats.tiled_tiff(COLOUR, 16, lambda tile: zlib.compress(differences(tile)), 8, tags=[(317, 3, [2])])
    add("tiles-deflate.tif", deflated, "in tiles, compressed: deflate of differences", COLOUR)

    def jpeg(tile):
        return saved(Image.fromarray(tile), "JPEG", quality=95, subsampling="4:2:0")

    content = formats.tiled_tiff(COLOUR, 32, jpeg, 7, photometric=6, tags=[(530, 3, [2, 2])])
    add("tiles-jpeg.tif", content, "in tiles, compressed: JPEG", decoded(content), decibels=38)
    add("tiles-jpeg-cut.tif", content[: len(content) // 2], "in tiles, cut off at 50 %, before its directory", refusal="damaged")


def differences(tile):
    """Returns the samples of a tile as differences to their left neighbours: predictor 2 of TIFF 6.0."""
    return np.diff(tile, axis=1, prepend=np.zeros_like(tile[:, :1])).astype(np.uint8).tobytes()


def add_gif(corpus, add):
    palette, indices, expected = palette_image(64)

    def paletted(frame):
        image = Image.fromarray(frame.astype(np.uint8), "P")
        image.putpalette(palette.tobytes())
        return image

    image = paletted(indices)
    add("palette.gif", saved(image, "GIF"), "one image", expected)
    add("interlaced.gif", saved(image, "GIF", interlace=1), "interlaced", expected)
    clear = int(indices[0, 0])
    opacity = np.where(indices == clear, 0, 255)
    transparent = saved(image, "GIF", transparency=clear)
    add("transparent.gif", transparent, "one transparent colour", scene.over(expected, opacity, WHITE))
    corpus.add("images/transparent.gif", None, "one transparent colour on a dark background", scene.over(expected, opacity, DARK), 48, options="background=#102030")
    animated = saved(image, "GIF", save_all=True, append_images=[paletted(indices[::-1].copy())], duration=100)
    add("animated.gif", animated, "an animation: the first image", expected, notes="first-of-several")
    whole = saved(image, "GIF")
    add("cut.gif", whole[: 13 + 192 + 10 + (len(whole) - 215) // 2], "cut off at 50 %", refusal=DAMAGED)


def add_qoi(corpus, add):
    add("rgb.qoi", formats.qoi(COLOUR), "RGB", COLOUR)
    rgba = formats.qoi(np.dstack([COLOUR, ALPHA]))
    add("rgba.qoi", rgba, "transparency", scene.over(COLOUR, ALPHA, WHITE))
    corpus.add("images/rgba.qoi", None, "transparency on a dark background", scene.over(COLOUR, ALPHA, DARK), 48, options="background=#102030")
    whole = formats.qoi(COLOUR)
    add("cut.qoi", whole[: len(whole) // 2], "cut off at 50 %", refusal=DAMAGED)


def add_pnm(add):
    height, width = GREY.shape
    size = f"{width} {height}"
    black = GREY < 128
    expected = np.where(black, 0, 255).astype(np.uint8)
    add("text.pbm", f"P1\n{size}\n{rows_of(black.astype(int))}".encode(), "black and white as text", expected)
    add("binary.pbm", f"P4\n{size}\n".encode() + np.packbits(black, axis=1).tobytes(), "black and white", expected)
    add("text.pgm", f"P2\n# a comment\n{size}\n255\n{rows_of(GREY)}".encode(), "grey as text, with a comment", GREY)
    add("text.ppm", f"P3\n{size} 255\n{rows_of(COLOUR)}".encode(), "RGB as text", COLOUR)
    streamed = {"stream": "pnm"}
    add("binary.pgm", f"P5\n{size}\n255\n".encode() + GREY.tobytes(), "grey", GREY, **streamed)
    add("binary.ppm", f"P6 {size} 255\n".encode() + COLOUR.tobytes(), "RGB", COLOUR, **streamed)
    sensor = np.rint(GREY.astype(float) * 1023 / 255).astype(">u2")
    add("sensor.pgm", f"P5\n{size}\n1023\n".encode() + sensor.tobytes(), "10 bits of a sensor, as the header says", GREY, **streamed)
    add("deep.ppm", f"P6\n{size}\n65535\n".encode() + deep(COLOUR).astype(">u2").tobytes(), "RGB, 16 bits", COLOUR, **streamed)
    levels, expected = quantised(4)
    add("fifteen.pgm", f"P5\n{size}\n15\n".encode() + levels.astype(np.uint8).tobytes(), "16 levels, as the header says", expected, **streamed)
    header = f"P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n"
    rgba = np.dstack([COLOUR, ALPHA])
    add("alpha.pam", header.encode() + rgba.tobytes(), "transparency", scene.over(COLOUR, ALPHA, WHITE))
    add("cut.pgm", f"P5\n{size}\n255\n".encode() + GREY.tobytes()[:700], "cut off at 50 %", refusal=DAMAGED)


def rows_of(samples):
    return "".join(" ".join(str(value) for value in np.ravel(row)) + "\n" for row in samples)
