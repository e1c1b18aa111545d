"""Reads damaged copies of a model file, in a process of its own that is expected to survive them all.

``python -m tests.damage SAMPLE FOLDER KIND COUNT`` prints one JSON line for each copy before it is read, and
one after: whoever has started it can tell which copy has ended it. A copy that takes too long ends it, too.
"""

from __future__ import annotations

import faulthandler
import json
import resource
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import mmconvert
from mmconvert.errors import MMConvertError

SECONDS = 10
"""What one copy may take; an undamaged one takes some hundredths."""

MEMORY = 6 << 30
"""More address space than this is not needed for a model of 100 kB."""

CONVERT_EVERY = 10
"""Every so manieth copy that loads is converted, too."""


def truncations(data: bytes, count: int) -> Iterator[bytes]:
    """The beginning of a file, up to ``count`` places."""
    yield from (data[: len(data) * i // count] for i in range(count))


def corruptions(data: bytes, count: int) -> Iterator[bytes]:
    """A file with one byte changed; seeded."""
    rng = np.random.default_rng(zlib.crc32(data))
    for _ in range(count):
        changed = bytearray(data)
        changed[int(rng.integers(len(data)))] ^= int(rng.integers(1, 256))
        yield bytes(changed)


KINDS = {"truncations": truncations, "corruptions": corruptions}


def attempt(path: Path, *, convert: bool) -> str:
    """What becomes of a file: the name of the error, or ``loaded``.

    Raises:
        Exception: what must not happen.
    """
    try:
        model = mmconvert.load(path)
        for value in model.graph.constants():
            if value.constant is not None:
                value.constant.numpy()
        str(model.graph)
        if convert:
            mmconvert.convert(path, path.with_name("out.onnx"))
    except MMConvertError as error:
        if error.exit_code not in (3, 4) or not error.message:
            raise
        return type(error).__name__
    return "loaded"


def main(sample: Path, folder: Path, kind: str, count: int) -> None:
    """Reads all copies."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    loaded = 0
    path = folder / f"damaged{sample.suffix}"
    for number, data in enumerate(KINDS[kind](sample.read_bytes(), count)):
        print(json.dumps({"started": number}), flush=True)
        path.write_bytes(data)
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        outcome = attempt(path, convert=loaded % CONVERT_EVERY == 1)
        faulthandler.cancel_dump_traceback_later()
        loaded += outcome == "loaded"
        print(json.dumps({"ended": number, "outcome": outcome}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
