"""PNG files."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

import formats
import icc
import scene
from pictures_jpeg import converted

COLOUR, GREY, NIGHT, ALPHA = scene.colour(), scene.grey(), scene.night(), scene.alpha()
DAMAGED = "damaged or cut off"
WHITE, DARK = (255, 255, 255), (16, 32, 48)


def quantised(bits):
    """Returns grey levels of some bits, and the same levels with eight bits."""
    top = (1 << bits) - 1
    levels = (GREY.astype(int) * top + 127) // 255
    return levels, np.rint(levels * 255 / top).astype(np.uint8)


def palette_image(colours):
    """Returns a palette, indices, and their colours."""
    image = Image.fromarray(COLOUR).quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    palette = np.array(image.getpalette()[: 3 * colours], np.uint8).reshape(-1, 3)
    indices = np.asarray(image)
    return palette, indices, palette[indices]


def deep(image):
    """Returns samples of 16 bits whose low bits are not those of the high ones."""
    noise = (np.arange(image.size).reshape(image.shape) * 37) % 200
    return np.clip(image.astype(int) * 257 + noise - 100, 0, 65535).astype(np.uint16)


def add_all(corpus):
    def add(name, content, case, reference=None, **expected):
        corpus.add(f"images/{name}", content, case, reference, **{"decibels": 48, "stream": "png", **expected})

    add_samples(add)
    add_transparency(corpus, add)
    add_spaces(add)
    add_rest(add)


def add_samples(add):
    add("rgb-8.png", formats.png(COLOUR, 2), "RGB, 8 bits", COLOUR)
    add("rgb-16.png", formats.png(deep(COLOUR), 2, 16), "RGB, 16 bits", COLOUR)
    add("grey-8.png", formats.png(GREY, 0), "grey, 8 bits", GREY)
    add("grey-16.png", formats.png(deep(GREY), 0, 16), "grey, 16 bits", GREY)
    for bits in [1, 2, 4]:
        levels, expected = quantised(bits)
        add(f"grey-{bits}.png", formats.png(levels, 0, bits), f"grey, {bits} bits", expected)
    for bits in [1, 2, 4, 8]:
        palette, indices, expected = palette_image(1 << min(bits, 6))
        content = formats.png(indices, 3, bits, [(b"PLTE", palette.tobytes())])
        add(f"palette-{bits}.png", content, f"a palette, {bits} bits", expected)
    add("interlaced.png", formats.png(COLOUR, 2, interlaced=True), "interlaced", COLOUR)
    add("interlaced-16.png", formats.png(deep(GREY), 0, 16, interlaced=True), "interlaced, 16 bits", GREY)
    sensor = np.rint(GREY.astype(float) * 1023 / 255).astype(np.uint16)
    content = formats.png(sensor, 0, 16, [(b"sBIT", b"\x0a")])
    add("sbit-low.png", content, "10 bits of a sensor in the low bits of 16, as sBIT says", GREY)
    high = (sensor << 6) | (sensor >> 4)
    add("sbit-high.png", formats.png(high, 0, 16, [(b"sBIT", b"\x0a")]), "10 bits by the standard, in the high bits", GREY)
    add("night.png", formats.png(np.stack([NIGHT] * 3, axis=-1), 2), "colour without colours", NIGHT)


def add_transparency(corpus, add):
    hidden = COLOUR.copy()
    hidden[:, :12] = [255, 0, 255]
    rgba = np.dstack([hidden, ALPHA])
    on_dark = {"options": "background=#102030"}
    files = {
        "rgba-8.png": (formats.png(rgba, 6), "colours that are hidden by transparency", hidden, ALPHA),
        "rgba-16.png": (formats.png(rgba.astype(np.uint16) * 257, 6, 16), "transparency, 16 bits", hidden, ALPHA),
    }
    grey_hidden = np.dstack([GREY, ALPHA])
    files["grey-alpha-8.png"] = (formats.png(grey_hidden, 4), "grey with transparency", np.dstack([GREY] * 3), ALPHA)
    files["grey-alpha-16.png"] = (formats.png(grey_hidden.astype(np.uint16) * 257, 4, 16), "grey with transparency, 16 bits", np.dstack([GREY] * 3), ALPHA)
    palette, indices, expected = palette_image(64)
    opacity = np.linspace(0, 255, 64).astype(np.uint8)
    content = formats.png(indices, 3, 8, [(b"PLTE", palette.tobytes()), (b"tRNS", opacity.tobytes())])
    files["palette-alpha.png"] = (content, "a palette with transparency", expected, opacity[indices])
    key = COLOUR[0, 0]
    content = formats.png(COLOUR, 2, 8, [(b"tRNS", struct.pack(">3H", *key))])
    files["rgb-key.png"] = (content, "one transparent colour", COLOUR, np.where((COLOUR == key).all(axis=-1), 0, 255))
    content = formats.png(GREY, 0, 8, [(b"tRNS", struct.pack(">H", GREY[5, 5]))])
    files["grey-key.png"] = (content, "one transparent grey", np.dstack([GREY] * 3), np.where(GREY == GREY[5, 5], 0, 255))
    for name, (content, case, image, opacity) in files.items():
        add(name, content, case, scene.over(image, opacity, WHITE))
        add_dark = scene.over(image, opacity, DARK)
        corpus.add(f"images/{name}", None, f"{case}, on a dark background", add_dark, 48, **on_dark)


def add_spaces(add):
    linear = np.rint(scene.to_linear(COLOUR) * 65535).astype(np.uint16)
    shown = scene.to_srgb(linear / 65535)
    add("gamma-linear.png", formats.png(linear, 2, 16, [(b"gAMA", struct.pack(">I", 100000))]), "gAMA: light itself", shown, decibels=40)
    add("gamma-srgb.png", formats.png(COLOUR, 2, 8, [(b"gAMA", struct.pack(">I", 45455))]), "gAMA: the gamma of sRGB", COLOUR)
    half = scene.to_srgb((COLOUR / 255) ** (1 / 0.55))
    add("gamma-055.png", formats.png(COLOUR, 2, 8, [(b"gAMA", struct.pack(">I", 55000))]), "gAMA: 0.55", half, decibels=40)
    chunks = [(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100000))]
    add("srgb-before-gamma.png", formats.png(COLOUR, 2, 8, chunks), "sRGB, which counts before gAMA", COLOUR)
    points = [31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000]
    chunks = [(b"gAMA", struct.pack(">I", 45455)), (b"cHRM", struct.pack(">8I", *points))]
    p3 = scene.to_srgb(icc.to_srgb_light(scene.to_linear(COLOUR), icc.DISPLAY_P3))
    add("chromaticities.png", formats.png(COLOUR, 2, 8, chunks), "cHRM: the colours of Display P3", p3, decibels=38)
    add("cicp-srgb.png", formats.png(COLOUR, 2, 8, [(b"cICP", bytes([1, 13, 0, 1]))]), "cICP: sRGB", COLOUR)
    add("cicp-p3.png", formats.png(COLOUR, 2, 8, [(b"cICP", bytes([12, 13, 0, 1]))]), "cICP: Display P3", p3, decibels=38)
    profile = icc.colour_profile(icc.DISPLAY_P3, 2.2)
    chunk = (b"iCCP", b"own\0\0" + zlib.compress(profile))
    add("icc-p3.png", formats.png(COLOUR, 2, 8, [chunk]), "a colour profile", converted(COLOUR, profile), decibels=38)
    chunk = (b"iCCP", b"own\0\0" + zlib.compress(icc.grey_profile(1.0)))
    add("icc-grey.png", formats.png(GREY, 0, 8, [chunk]), "a profile of grey", scene.to_srgb(GREY / 255), decibels=38)
    for name, transfer, light in [("pq", 16, pq_light), ("hlg", 18, hlg_light)]:
        image = np.clip(light(COLOUR / 255) / 203, 0, 1)
        shown = scene.to_srgb(icc.to_srgb_light(image, icc.REC_2020))
        content = formats.png(COLOUR, 2, 8, [(b"cICP", bytes([9, transfer, 0, 1]))])
        add(f"cicp-{name}.png", content, f"high dynamic range: {name.upper()}", shown, decibels=30, notes="high-dynamic-range")


def pq_light(value):
    root = value ** (1 / 78.84375)
    return 10000 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)


def hlg_light(value):
    scene_light = np.where(value <= 0.5, value**2 / 3, (np.exp((value - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    return 1000 * scene_light**1.2


def add_rest(add):
    oriented = formats.png(COLOUR, 2, 8, [(b"eXIf", formats.exif([(0x0112, 3, 6)], ">"))])
    add("exif-6.png", oriented, "EXIF orientation 6", np.ascontiguousarray(np.rot90(COLOUR, -1)))
    frames = [Image.fromarray(COLOUR), Image.fromarray(COLOUR[::-1].copy())]
    buffer = io.BytesIO()
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:], duration=100)
    add("animated.png", buffer.getvalue(), "an animation: the first image", COLOUR, notes="first-of-several")
    plain = formats.png(COLOUR, 2)
    add("a-png.jpg", plain, "PNG with the name of a JPEG file", COLOUR)
    start = plain.index(b"IDAT")
    for percent in [30, 90]:
        content = plain[: start + (len(plain) - start) * percent // 100]
        add(f"cut-{percent}.png", content, f"cut off at {percent} %", refusal=DAMAGED)
    wrong = bytearray(plain)
    wrong[-16] ^= 0x55
    add("wrong-checksum.png", bytes(wrong), "a wrong checksum of the pixels", refusal=DAMAGED)
    huge = formats.png_chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 6, 0, 0, 0))
    body = b"\x89PNG\r\n\x1a\n" + huge + formats.png_chunk(b"IDAT", b"x\x9c") + formats.png_chunk(b"IEND", b"")
    add("huge.png", body, "a header of 60000×60000 pixels", refusal="over the limit of")
