"""Streams: raw samples, Y4M, and streams of files with anything between them."""

import numpy as np

import jpeg
import scene
from pictures_jpeg import decoded, own

COLOUR, GREY = scene.colour(), scene.grey()
HEIGHT, WIDTH = GREY.shape


def yuv(full_range=False, bt709=False):
    """Returns the planes of the scene in BT.601 or BT.709."""
    weights = np.array([0.2126, 0.7152, 0.0722] if bt709 else [0.299, 0.587, 0.114])
    rgb = COLOUR.astype(float)
    luma = rgb @ weights
    blue, red = (rgb[..., 2] - luma) / (2 - 2 * weights[2]), (rgb[..., 0] - luma) / (2 - 2 * weights[0])
    if full_range:
        planes = [luma, blue + 128, red + 128]
    else:
        planes = [16 + luma * 219 / 255, 128 + blue * 224 / 255, 128 + red * 224 / 255]
    return [np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in planes]


def small(planes, horizontal, vertical):
    luma, *chroma = planes
    return [luma, *[np.rint(jpeg.shrink(plane.astype(float), horizontal, vertical)).astype(np.uint8) for plane in chroma]]


def packed(planes):
    return b"".join(plane.tobytes() for plane in planes)


def add_all(corpus):
    def add(name, content, case, stream, decibels=38, reference=COLOUR, images=1, **expected):
        if "refusal" in expected:
            corpus.add(f"streams/{name}", content, case, stream=stream, **expected)
        else:
            corpus.add(f"streams/{name}", content, case, reference, decibels, stream=stream, notes=f"images={images}", **expected)

    size = f"width={WIDTH} height={HEIGHT}"
    add("rgb24.raw", COLOUR.tobytes() * 2, "RGB samples, two images", "rgb24", 50, options=size, images=2)
    add("bgr24.raw", COLOUR[..., ::-1].tobytes() * 2, "BGR samples, two images", "bgr24", 50, options=size, images=2)
    add("grey8.raw", GREY.tobytes() * 2, "grey samples, two images", "grey8", 50, GREY, options=size, images=2)
    full = yuv(full_range=True)
    add("yuv420p.raw", packed(small(yuv(), 2, 2)), "planes of Y, U and V", "yuv420p", 34, options=size)
    add("yuv422p.raw", packed(small(yuv(), 2, 1)), "planes of Y, U and V at half width", "yuv422p", 34, options=size)
    add("yuv444p.raw", packed(yuv()), "planes of Y, U and V of full size", "yuv444p", options=size)
    add("full-range.raw", packed(full), "samples of full range", "yuv444p", options=f"{size} yuv_range=full")
    add("bt709.raw", packed(yuv(bt709=True)), "the matrix of BT.709", "yuv444p", options=f"{size} yuv_matrix=bt709")
    luma, blue, red = small(yuv(), 2, 2)
    nv12 = luma.tobytes() + np.dstack([blue, red]).tobytes()
    add("nv12.raw", nv12, "NV12", "nv12", 34, options=size)
    luma, blue, red = small(yuv(), 2, 1)
    yuyv = np.empty((HEIGHT, 2 * WIDTH), np.uint8)
    yuyv[:, 0::2], yuyv[:, 1::4], yuyv[:, 3::4] = luma, blue, red
    add("yuyv.raw", yuyv.tobytes(), "YUYV, as webcams deliver it", "yuyv", 34, options=size)
    frame = packed(small(yuv(), 2, 2))
    header = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F25:1 Ip A1:1 C420jpeg\n".encode()
    add("y4m-420.y4m", header + (b"FRAME\n" + frame) * 2, "Y4M, 4:2:0, two images", "y4m", 34, images=2)
    header = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F25:1 C444\n".encode()
    add("y4m-444.y4m", header + b"FRAME\n" + packed(yuv()), "Y4M, 4:4:4", "y4m")
    plain = own("420")
    expected = decoded(plain)
    part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(plain)
    add("multipart.mjpeg", (part + plain + b"\r\n") * 3 + b"--frame--\r\n", "three parts of an HTTP multipart stream", "mjpeg", 38, expected, images=3)
    webcam = own("422", with_tables=False)
    add("webcam.mjpeg", webcam * 3, "three frames of a webcam without Huffman tables", "mjpeg", 38, decoded(own("422")), images=3)
    h264 = b"\0\0\0\1\x67\x42\xc0\x1e" + bytes(range(1, 200))
    add("video.h264", h264 * 30, "H.264 without a decoder", "auto", refusal="looks like H.264")
    packet = b"\x47\x40\0\x10" + b"\xff" * 184
    add("video.ts", packet * 40, "an MPEG transport stream without a decoder", "auto", refusal="MPEG transport stream")
    add("text.bin", b"a text that is no image\n" * 300, "a text", "auto", refusal="format")
