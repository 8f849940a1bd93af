"""Colour profiles (ICC.1:2001-04) of displays: three primaries and a curve, or a curve alone for grey."""

import numpy as np

D50 = np.array([0.9642, 1.0, 0.8249])
D65 = (0.3127, 0.3290)
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
DISPLAY_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
REC_2020 = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def xyz(chromaticity):
    x, y = chromaticity
    return np.array([x / y, 1.0, (1 - x - y) / y])


def to_xyz(primaries, white=D65):
    """Returns the matrix from light in these primaries to XYZ, relative to their own white."""
    columns = np.stack([xyz(primary) for primary in primaries], axis=1)
    return columns * np.linalg.solve(columns, xyz(white))


def adapt(white):
    """Returns the matrix that adapts XYZ from a white to D50."""
    gains = np.diag((BRADFORD @ D50) / (BRADFORD @ xyz(white)))
    return np.linalg.inv(BRADFORD) @ gains @ BRADFORD


def number(value):
    return int(round(value * 65536)).to_bytes(4, "big", signed=True)


def xyz_tag(value):
    return b"XYZ \0\0\0\0" + b"".join(number(part) for part in value)


def curve_tag(gamma):
    return b"curv\0\0\0\0" + (1).to_bytes(4, "big") + int(round(gamma * 256)).to_bytes(2, "big") + b"\0\0"


def profile(space, tags):
    texts = {
        b"desc": b"desc\0\0\0\0" + (5).to_bytes(4, "big") + b"test\0" + bytes(4 + 4 + 2 + 1 + 67 + 2),
        b"cprt": b"text\0\0\0\0none\0\0\0\0",
    }
    tags = {**texts, b"wtpt": xyz_tag(D50), **tags}
    directory, data = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        directory += name + (start + len(data)).to_bytes(4, "big") + len(content).to_bytes(4, "big")
        data += content
    body = len(tags).to_bytes(4, "big") + directory + data
    header = (128 + len(body)).to_bytes(4, "big") + bytes(4) + bytes([2, 0x10, 0, 0]) + b"mntr" + space + b"XYZ "
    header += bytes(12) + b"acsp" + bytes(28) + b"".join(number(part) for part in D50)
    return header.ljust(128, b"\0") + body


def colour_profile(primaries, gamma):
    matrix = adapt(D65) @ to_xyz(primaries)
    tags = {}
    for index, name in enumerate([b"r", b"g", b"b"]):
        tags[name + b"XYZ"] = xyz_tag(matrix[:, index])
        tags[name + b"TRC"] = curve_tag(gamma)
    return profile(b"RGB ", tags)


def grey_profile(gamma):
    return profile(b"GRAY", {b"kTRC": curve_tag(gamma)})


def to_srgb_light(linear, primaries):
    """Returns light in the primaries of sRGB from light in others with the same white."""
    matrix = np.linalg.inv(to_xyz(SRGB)) @ to_xyz(primaries)
    return np.clip(linear @ matrix.T, 0, 1)
