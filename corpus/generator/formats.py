"""Writers of file formats, as far as the usual encoders do not write these variants."""

import struct
import zlib

import numpy as np


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_rows(samples, depth):
    """Returns rows of samples [height, width, channels] as bytes, without filters."""
    if depth == 16:
        rows = samples.astype(">u2").tobytes()
    elif depth == 8:
        rows = samples.astype(np.uint8).tobytes()
    else:
        bits = np.unpackbits(samples.reshape(*samples.shape[:2], 1).astype(np.uint8), axis=-1)[..., 8 - depth :]
        rows = np.packbits(bits.reshape(samples.shape[0], -1), axis=1).tobytes()
    length = len(rows) // samples.shape[0]
    return b"".join(b"\0" + rows[start : start + length] for start in range(0, len(rows), length))


# The first column and row of each pass of Adam7, and their steps.
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png(samples, colour_type, depth=8, chunks=(), interlaced=False, behind_data=b""):
    """Encodes samples as PNG; `chunks` are pairs of kind and data before the pixels."""
    if samples.ndim == 2:
        samples = samples[..., None]
    height, width = samples.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, int(interlaced))
    if interlaced:
        data = b"".join(png_rows(samples[y::dy, x::dx], depth) for x, y, dx, dy in PASSES)
    else:
        data = png_rows(samples, depth)
    body = png_chunk(b"IHDR", header) + b"".join(png_chunk(*chunk) for chunk in chunks)
    return b"\x89PNG\r\n\x1a\n" + body + png_chunk(b"IDAT", zlib.compress(data, 9)) + behind_data + png_chunk(b"IEND", b"")


def exif(entries, endian="<", exif_entries=(), gps_entries=()):
    """Returns a block of EXIF; entries are tag, type, and the packed value or a number."""
    mark = b"II*\0" if endian == "<" else b"MM\0*"
    directories = [list(entries)]
    if exif_entries:
        directories[0].append((0x8769, 4, None))
        directories.append(list(exif_entries))
    if gps_entries:
        directories[0].append((0x8825, 4, None))
        directories.append(list(gps_entries))
    starts, offset = [], 8
    for directory in directories:
        starts.append(offset)
        offset += 2 + 12 * len(directory) + 4
    children = iter(starts[1:])
    out, data = mark + struct.pack(endian + "I", 8), b""
    sizes = {2: 1, 3: 2, 4: 4, 5: 8, 1: 1, 7: 1}
    for directory in directories:
        out += struct.pack(endian + "H", len(directory))
        for tag, kind, value in sorted(directory, key=lambda entry: entry[0]):
            if value is None:
                value = struct.pack(endian + "I", next(children))
            elif isinstance(value, int):
                value = struct.pack(endian + {1: "B", 3: "H", 4: "I"}[kind], value)
            elif isinstance(value, str):
                value = value.encode() + b"\0"
            elif isinstance(value, list):
                value = b"".join(struct.pack(endian + "II", *pair) for pair in value)
            out += struct.pack(endian + "HHI", tag, kind, len(value) // sizes[kind])
            if len(value) <= 4:
                out += value.ljust(4, b"\0")
            else:
                out += struct.pack(endian + "I", offset + len(data))
                data += value + bytes(len(value) % 2)
        out += bytes(4)
    return out + data


def tiff(samples, endian="<", tags=(), sample_format=1, photometric=None):
    """Encodes samples without compression; further tags are triples of tag, type and values."""
    if samples.ndim == 2:
        samples = samples[..., None]
    height, width, channels = samples.shape
    bits = samples.dtype.itemsize * 8
    data = samples.astype(samples.dtype.newbyteorder(endian)).tobytes()
    photometric = photometric if photometric is not None else (2 if channels >= 3 else 1)
    entries = [
        (256, 4, [width]),
        (257, 4, [height]),
        (258, 3, [bits] * channels),
        (259, 3, [1]),
        (262, 3, [photometric]),
        (273, 4, [8]),
        (277, 3, [channels]),
        (278, 4, [height]),
        (279, 4, [len(data)]),
        (339, 3, [sample_format] * channels),
        *tags,
    ]
    return tiff_file(data, entries, endian)


def tiled_tiff(samples, tile_size, compress, compression, photometric=2, tags=()):
    """Encodes samples in tiles; `compress` gets each tile, which repeats the last column and row beyond the edges."""
    height, width, channels = samples.shape
    columns, rows = -(-width // tile_size), -(-height // tile_size)
    padded = np.pad(samples, [(0, rows * tile_size - height), (0, columns * tile_size - width), (0, 0)], "edge")
    tiles = [
        compress(np.ascontiguousarray(padded[y : y + tile_size, x : x + tile_size]))
        for y in range(0, rows * tile_size, tile_size)
        for x in range(0, columns * tile_size, tile_size)
    ]
    lengths = [len(tile) for tile in tiles]
    entries = [
        (256, 4, [width]),
        (257, 4, [height]),
        (258, 3, [8] * channels),
        (259, 3, [compression]),
        (262, 3, [photometric]),
        (277, 3, [channels]),
        (322, 3, [tile_size]),
        (323, 3, [tile_size]),
        (324, 4, [8 + sum(lengths[:index]) for index in range(len(tiles))]),
        (325, 4, lengths),
        *tags,
    ]
    return tiff_file(b"".join(tiles), entries, "<")


def tiff_file(data, entries, endian):
    """Returns a file of data, which starts at offset 8, and a directory of tags, types and values."""
    data += bytes(len(data) % 2)
    out = (b"II*\0" if endian == "<" else b"MM\0*") + struct.pack(endian + "I", 8 + len(data)) + data
    directory, extra = struct.pack(endian + "H", len(entries)), b""
    extra_start = len(out) + 2 + 12 * len(entries) + 4
    for tag, kind, values in sorted(entries, key=lambda entry: entry[0]):
        code = {1: "B", 3: "H", 4: "I", 7: "B"}[kind]
        packed = struct.pack(f"{endian}{len(values)}{code}", *values)
        directory += struct.pack(endian + "HHI", tag, kind, len(values))
        if len(packed) <= 4:
            directory += packed.ljust(4, b"\0")
        else:
            directory += struct.pack(endian + "I", extra_start + len(extra))
            extra += packed + bytes(len(packed) % 2)
    return out + directory + bytes(4) + extra


def bmp(rows, bits, width, height, compression=0, palette=b"", masks=b"", header_bytes=40):
    """Returns a BMP file of rows that are in their order in the file; a negative height begins with the top."""
    header = struct.pack("<IiiHHIIiiII", header_bytes, width, height, 1, bits, compression, len(rows), 2835, 2835, len(palette) // 4, 0)
    header = (header + (masks if header_bytes > 40 else b"")).ljust(header_bytes, b"\0")
    extra = masks if header_bytes == 40 else b""
    offset = 14 + len(header) + len(extra) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + header + extra + palette + rows


def bmp_rle8(indices):
    out = bytearray()
    for row in indices[::-1]:
        start = 0
        while start < len(row):
            end = start
            while end < len(row) and row[end] == row[start] and end - start < 255:
                end += 1
            out += bytes([end - start, row[start]])
            start = end
        out += b"\0\0"
    return bytes(out + b"\0\1")


def qoi(samples):
    """Encodes RGB or RGBA, each pixel as a whole."""
    height, width, channels = samples.shape
    out = bytearray(b"qoif" + struct.pack(">IIBB", width, height, channels, 0))
    for pixel in samples.reshape(-1, channels):
        out += bytes([0xFE if channels == 3 else 0xFF]) + pixel.tobytes()
    return bytes(out + bytes(7) + b"\1")


def riff(chunks):
    body = b"WEBP" + b"".join(kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body
