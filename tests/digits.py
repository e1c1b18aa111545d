"""The embedded digit classifier in every format, small and real, for tests of whole commands."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from filelock import FileLock

import mmconvert
from mmconvert import demo
from mmconvert.ir.types import Array
from tests.models.zoo import cache_dir

KERAS = Path(demo.__file__).parent / "digits.keras"

_TO_H5 = "import sys, keras; keras.models.load_model(sys.argv[1], compile=False).save(sys.argv[2])"


def h5() -> Path:
    """The model as Keras itself saves it in HDF5: made once, in a child process, and kept."""
    digest = hashlib.sha256(KERAS.read_bytes()).hexdigest()[:12]
    path = cache_dir() / f"digits-{digest}.h5"
    with FileLock(f"{path}.lock"):
        if not path.exists():
            made = path.with_suffix(".part.h5")
            environment = os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
            subprocess.run(
                [sys.executable, "-c", _TO_H5, KERAS, made], check=True, capture_output=True, env=environment
            )
            made.replace(path)
    return path


def converted(folder: Path, format: str) -> Path:
    """The model in one of the formats that mmconvert writes."""
    path = folder / f"digits.{format}"
    if not path.exists():
        mmconvert.save(mmconvert.load(KERAS), path)
    return path


def sample(folder: Path, format: str) -> Path:
    """The model in any format: ``keras``, ``h5``, or one that mmconvert writes."""
    return {"keras": KERAS, "h5": h5()}[format] if format in ("keras", "h5") else converted(folder, format)


def images(count: int = 3) -> Array:
    """Held-out images."""
    return np.asarray(np.load(KERAS.with_suffix(".npz"))["images"][:count])
