#!/usr/bin/env python3
"""Writes the corpus: the files, their references and `table.tsv`. The packages are pinned in `requirements.txt`:

    python3 -m venv /tmp/corpus && /tmp/corpus/bin/pip install -r corpus/requirements.txt
    /tmp/corpus/bin/python corpus/generator/generate.py

The same versions write the same bytes. References come from the samples themselves where a format is lossless, and
otherwise from libjpeg-turbo, libwebp and Little CMS, which Pillow contains. None of them is used by Lopside.
"""

import pictures_jpeg
import pictures_other
import pictures_png
import refusals
import scene
import streams
import tables
from corpus import Corpus


def main():
    corpus = Corpus()
    # Named before the files that show them.
    for name, image in [("scene", scene.colour()), ("scene-grey", scene.grey()), ("scene-night", scene.night())]:
        corpus.reference(name, image)
    for part in [pictures_jpeg, pictures_png, pictures_other, refusals, streams, tables]:
        part.add_all(corpus)
    corpus.finish()


if __name__ == "__main__":
    main()
