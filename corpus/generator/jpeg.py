"""A small JPEG encoder (ITU-T T.81) for what other encoders do not write: components in scans of their own, unusual
sampling, missing tables, a height behind the scan."""

import numpy as np

# Annex K.3: the number of codes of each length, and the symbols.
DC_LUMA = ([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], list(range(12)))
DC_CHROMA = ([0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], list(range(12)))
AC_LUMA = (
    [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7D],
    bytes.fromhex(
        "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738"
        "393a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4"
        "a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
    ),
)
AC_CHROMA = (
    [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77],
    bytes.fromhex(
        "000102031104052131061241510761711322328108144291a1b1c109233352f0156272d10a162434e125f11718191a262728292a353637"
        "38393a434445464748494a535455565758595a636465666768696a737475767778797a82838485868788898a92939495969798999aa2"
        "a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa"
    ),
)
TABLES = [(0x00, DC_LUMA), (0x10, AC_LUMA), (0x01, DC_CHROMA), (0x11, AC_CHROMA)]

ZIGZAG = sorted(range(64), key=lambda i: (i // 8 + i % 8, (i // 8 if (i // 8 + i % 8) % 2 else i % 8)))
DCT = np.array([[(np.sqrt(1 / 8) if k == 0 else 0.5) * np.cos((2 * n + 1) * k * np.pi / 16) for n in range(8)] for k in range(8)])
STEP = 3


def segment(marker, payload):
    return bytes([0xFF, marker]) + (len(payload) + 2).to_bytes(2, "big") + bytes(payload)


def huffman_codes(table):
    counts, symbols = table
    codes, code, index = {}, 0, 0
    for length, count in enumerate(counts, 1):
        for _ in range(count):
            codes[symbols[index]] = (code, length)
            code, index = code + 1, index + 1
        code <<= 1
    return codes


class BitWriter:
    def __init__(self):
        self.bytes, self.value, self.count = bytearray(), 0, 0

    def put(self, value, length):
        self.value, self.count = (self.value << length) | value, self.count + length
        while self.count >= 8:
            byte = (self.value >> (self.count - 8)) & 0xFF
            self.bytes.append(byte)
            if byte == 0xFF:
                self.bytes.append(0)
            self.count -= 8
        self.value &= (1 << self.count) - 1

    def pad(self):
        if self.count:
            missing = 8 - self.count
            self.put((1 << missing) - 1, missing)


def put_number(bits, value):
    size = abs(value).bit_length()
    bits.put(value if value > 0 else value + (1 << size) - 1, size)


class ScanWriter:
    """Writes blocks with the tables of annex K."""

    def __init__(self, restart_interval):
        self.bits, self.restart_interval, self.units, self.restarts = BitWriter(), restart_interval, 0, 0
        self.last, self.unit_offsets = {}, []
        self.codes = {key: huffman_codes(table) for key, table in TABLES}

    def begin_unit(self):
        if self.restart_interval and self.units and self.units % self.restart_interval == 0:
            self.bits.pad()
            self.bits.bytes += bytes([0xFF, 0xD0 + self.restarts % 8])
            self.restarts += 1
            self.last = {}
            self.unit_offsets.append(len(self.bits.bytes))
        self.units += 1

    def block(self, component, block):
        chroma = 1 if component else 0
        dc, ac = self.codes[chroma], self.codes[0x10 + chroma]
        difference = int(block[0]) - self.last.get(component, 0)
        self.last[component] = int(block[0])
        self.bits.put(*dc[abs(difference).bit_length()])
        put_number(self.bits, difference)
        run = 0
        last = max((i for i in range(1, 64) if block[i]), default=0)
        for value in block[1 : last + 1]:
            if value == 0:
                run += 1
                continue
            while run > 15:
                self.bits.put(*ac[0xF0])
                run -= 16
            value = int(value)
            self.bits.put(*ac[run << 4 | abs(value).bit_length()])
            put_number(self.bits, value)
            run = 0
        if last < 63:
            self.bits.put(*ac[0])


def to_ycc(rgb):
    rgb = rgb.astype(float)
    luma = rgb @ [0.299, 0.587, 0.114]
    return [luma, (rgb[..., 2] - luma) / 1.772 + 128, (rgb[..., 0] - luma) / 1.402 + 128]


def shrink(plane, horizontal, vertical):
    """Returns the mean of blocks of samples, the last ones continued beyond the border."""
    height, width = plane.shape
    plane = np.pad(plane, [(0, -height % vertical), (0, -width % horizontal)], mode="edge")
    height, width = plane.shape
    return plane.reshape(height // vertical, vertical, width // horizontal, horizontal).mean(axis=(1, 3))


def blocks_of(plane, columns, rows):
    """Returns the quantised coefficients of a plane, in zigzag order, as an array [rows, columns, 64]."""
    height, width = plane.shape
    plane = np.pad(plane, [(0, 8 * rows - height), (0, 8 * columns - width)], mode="edge") - 128
    blocks = plane.reshape(rows, 8, columns, 8).transpose(0, 2, 1, 3)
    coefficients = np.rint((DCT @ blocks @ DCT.T) / STEP).astype(int)
    return coefficients.reshape(rows, columns, 64)[..., ZIGZAG]


def encode(
    planes,
    sampling,
    interleaved=True,
    with_tables=True,
    restart_interval=0,
    lines_behind_scan=False,
    drop_restart=False,
    adobe_transform=None,
    size_in_header=None,
):
    """Encodes planes of full size. `sampling` has the horizontal and the vertical factor of each."""
    height, width = planes[0].shape
    most = [max(factors[axis] for factors in sampling) for axis in (0, 1)]
    units = [-(-width // (8 * most[0])), -(-height // (8 * most[1]))]
    components = []
    for plane, (horizontal, vertical) in zip(planes, sampling):
        small = shrink(plane, most[0] // horizontal, most[1] // vertical) if most != [horizontal, vertical] else plane
        components.append(blocks_of(small, units[0] * horizontal, units[1] * vertical))

    out = bytearray(b"\xff\xd8")
    if adobe_transform is not None:
        out += segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([adobe_transform]))
    out += segment(0xDB, bytes([0]) + bytes([STEP]) * 64)
    shown_height, shown_width = size_in_header or (0 if lines_behind_scan else height, width)
    frame = bytes([8]) + shown_height.to_bytes(2, "big") + shown_width.to_bytes(2, "big") + bytes([len(planes)])
    for index, (horizontal, vertical) in enumerate(sampling):
        frame += bytes([index + 1, horizontal << 4 | vertical, 0])
    out += segment(0xC0, frame)
    if with_tables:
        for key, (counts, symbols) in TABLES:
            out += segment(0xC4, bytes([key]) + bytes(counts) + bytes(symbols))
    if restart_interval:
        out += segment(0xDD, restart_interval.to_bytes(2, "big"))
    scans = [list(range(len(planes)))] if interleaved else [[index] for index in range(len(planes))]
    for number, scan in enumerate(scans):
        header = bytes([len(scan)])
        for index in scan:
            header += bytes([index + 1, 0x11 if index else 0x00])
        out += segment(0xDA, header + bytes([0, 63, 0]))
        out += encode_scan(components, scan, sampling, most, (width, height), restart_interval, drop_restart)
        if lines_behind_scan and number == 0:
            out += segment(0xDC, height.to_bytes(2, "big"))
    return bytes(out + b"\xff\xd9")


def encode_scan(components, scan, sampling, most, size, restart_interval, drop_restart):
    writer = ScanWriter(restart_interval)
    if len(scan) == 1:
        index = scan[0]
        columns = -(-(-(-size[0] * sampling[index][0] // most[0])) // 8)
        rows = -(-(-(-size[1] * sampling[index][1] // most[1])) // 8)
        for row in range(rows):
            for column in range(columns):
                writer.begin_unit()
                writer.block(index, components[index][row, column])
    else:
        rows = components[scan[0]].shape[0] // sampling[scan[0]][1]
        columns = components[scan[0]].shape[1] // sampling[scan[0]][0]
        for row in range(rows):
            for column in range(columns):
                writer.begin_unit()
                for index in scan:
                    horizontal, vertical = sampling[index]
                    for y in range(vertical):
                        for x in range(horizontal):
                            writer.block(index, components[index][row * vertical + y, column * horizontal + x])
    writer.bits.pad()
    data = bytes(writer.bits.bytes)
    if drop_restart:
        # Without the bytes between two restart markers, as a lost packet leaves it.
        first, second = writer.unit_offsets[1:3]
        data = data[:first] + data[second:]
    return data


def insert(jpeg, *segments):
    """Inserts segments behind the start of image."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def scan_start(jpeg, number=0):
    """Returns the offset of the entropy-coded data of a scan."""
    offset = -1
    for _ in range(number + 1):
        offset = jpeg.index(b"\xff\xda", offset + 1)
    return offset + 2 + int.from_bytes(jpeg[offset + 2 : offset + 4], "big")


def cut(jpeg, share):
    """Returns a file that ends after a share of its entropy-coded data."""
    start = scan_start(jpeg)
    return jpeg[: start + int(share * (len(jpeg) - start - 2))]
