"""The folder of the corpus: files, references, and the table that says what is expected of each file."""

import hashlib
import io
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
HEADER = ["file", "case", "options", "expected", "detail", "notes", "stream"]


class Corpus:
    def __init__(self):
        self.lines, self.references, self.files = [], {}, set()
        for name in ["images", "tables", "streams", "references"]:
            shutil.rmtree(ROOT / name, ignore_errors=True)
            (ROOT / name).mkdir()

    def add(self, file, content, case, reference=None, decibels=40, refusal=None, options="-", notes="-", stream="-"):
        """Adds a file, and a line about it. `content` is None for a further line about a file."""
        if content is not None:
            assert file not in self.files, file
            self.files.add(file)
            (ROOT / file).write_bytes(content)
        assert (reference is None) != (refusal is None), file
        if refusal is not None:
            expected, detail = "refused", refusal
        else:
            expected, detail = "decoded", f"{self.reference(file, reference)} {decibels}"
        line = [file, case, options, expected, detail, notes, stream]
        assert all("\t" not in cell and "\n" not in cell and cell for cell in line), line
        self.lines.append(line)

    def reference(self, file, reference):
        """Writes a reference, an image or a text, unless there is an equal one, and returns its name."""
        if isinstance(reference, str):
            content, ending = reference.encode(), "csv"
        else:
            if reference.ndim == 3 and (np.ptp(reference, axis=-1) == 0).all():
                reference = reference[..., 0]
            buffer = io.BytesIO()
            Image.fromarray(reference).save(buffer, "PNG", optimize=True)
            content, ending = buffer.getvalue(), "png"
        digest = hashlib.sha256(content).digest()
        if digest not in self.references:
            stem = Path(file).name.replace(".", "-")
            taken = sum(name.startswith(f"{stem}.") or name.startswith(f"{stem}_") for name in self.references.values())
            name = f"{stem}_{taken}.{ending}" if taken else f"{stem}.{ending}"
            (ROOT / "references" / name).write_bytes(content)
            self.references[digest] = name
        return self.references[digest]

    def finish(self):
        lines = [HEADER, *self.lines]
        text = "".join("\t".join(line) + "\n" for line in lines)
        (ROOT / "table.tsv").write_text(text)
        size = sum(path.stat().st_size for path in ROOT.rglob("*") if path.is_file() and "__pycache__" not in str(path))
        print(f"{len(self.files)} files, {len(self.lines)} lines, {len(self.references)} references, {size} bytes")
