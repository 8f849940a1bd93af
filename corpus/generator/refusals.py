"""Files that are no images, or images of formats that are refused by name."""

import io

from PIL import Image

import scene

UNKNOWN = "not an image of a known format"


def add_all(corpus):
    def add(name, content, case, refusal):
        corpus.add(f"images/{name}", content, case, refusal=refusal)

    image = Image.fromarray(scene.colour())
    for name, kind in [("picture.avif", "AVIF"), ("picture.jp2", "JPEG2000")]:
        buffer = io.BytesIO()
        image.save(buffer, kind)
        add(name, buffer.getvalue(), f"{kind}", f"{kind.replace('G2', 'G 2')} is not supported")
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0\0\0\x10meta" + bytes(8)
    add("phone.heic", heic, "HEIC, by its first bytes", "HEIC is not supported")
    add("phone-heic.jpg", heic, "HEIC with the name of a JPEG file", "HEIC is not supported")
    add("picture.jxl", b"\xff\x0a" + bytes(40), "JPEG XL, by its first bytes", "JPEG XL is not supported")
    add("picture.psd", b"8BPS\0\1" + bytes(40), "a Photoshop document", "a Photoshop document is not supported")
    add("raw.cr2", b"II*\0\x10\0\0\0CR\x02\0" + bytes(40), "a camera's raw format", "a camera's raw format is not supported")
    add("raw.raf", b"FUJIFILMCCD-RAW 0201" + bytes(40), "a camera's raw format", "a camera's raw format is not supported")
    add("error-page.jpg", b"<html><body>404 Not Found</body></html>\n", "an error page with the name of an image", UNKNOWN)
    add("zeros.jpg", bytes(2000), "zeros, as a file system leaves them after a power cut", UNKNOWN)
    add("text.png", b"a text\n", "a text with the name of an image", UNKNOWN)
    add("signature-only.png", b"\x89PNG\r\n\x1a\n", "nothing but the signature of PNG", "png")
    add("empty.jpg", b"", "an empty file", f"{UNKNOWN}|the file is empty")
