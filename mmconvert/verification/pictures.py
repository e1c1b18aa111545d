"""The user's files as inputs: arrays, and images through the model's preprocessing."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mmconvert import dtypes
from mmconvert.errors import MissingDependencyError, UsageError
from mmconvert.files import require_file
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.types import Array
from mmconvert.verification import inputs
from mmconvert.verification.inputs import Feed
from mmconvert.verification.roles import role_of

IMAGES = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"))

ARRAYS = frozenset((".npy", ".npz"))

MOST = 32
"""Of a folder so many files are taken, in the order of their names."""

LARGEST = 1 << 28
"""An image with more pixels is refused: it is not meant for a model."""

_BROKEN = (OSError, ValueError, EOFError, KeyError, SyntaxError, zipfile.BadZipFile, zlib.error)


def is_picture(path: Path) -> bool:
    """Whether this is a folder, or an image by its suffix."""
    return path.is_dir() or path.suffix.lower() in IMAGES


def feeds_from(
    path: Path, graph: Graph, properties: Mapping[str, str], seed: int = 0
) -> tuple[list[Feed], list[str]]:
    """One feed for each file; other inputs than the one that a file is for are generated.

    Args:
        path: an image, an array file, or a folder with such.
        graph: what is to be fed.
        properties: what the model says about its inputs; see ``ir.model.Metadata``.
        seed: for the other inputs.

    Returns:
        The feeds, and notes on how images were made inputs.

    Raises:
        UsageError: there is no such file, it cannot be read, or no input takes it.
        MissingDependencyError: images are read by Pillow, which is not installed.
    """
    require_file(path)
    notes: dict[str, None] = {}
    paths = [path]
    if path.is_dir():
        paths = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGES | ARRAYS)
        if not paths:
            raise UsageError("there is no image and no array in this folder", where=str(path))
        if len(paths) > MOST:
            notes[f"{MOST} of {len(paths)} files in {path.name} were tried"] = None
    base = inputs.generate(graph, count=1, seed=seed)[0]
    feeds = []
    for file in paths[:MOST]:
        given = (
            _arrays(file, graph)
            if file.suffix.lower() in ARRAYS
            else _image(file, graph, base, properties, notes)
        )
        rest = {} if {v.name for v in graph.inputs} <= set(given) else base
        feeds.append(inputs.fit(graph, rest | given))
    return feeds, list(notes)


def _arrays(path: Path, graph: Graph) -> Feed:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            if len(graph.inputs) != 1:
                raise UsageError("which input is this for?", where=str(path), hint="an .npz file has names")
            return {graph.inputs[0].name: loaded}
        with loaded:
            return {key: loaded[key] for key in loaded.files}
    except _BROKEN as error:
        raise UsageError("is no .npy or .npz file with arrays of numbers", where=str(path)) from error


def _image(
    path: Path, graph: Graph, base: Feed, properties: Mapping[str, str], notes: dict[str, None]
) -> Feed:
    """An image as the input that has the shape of one."""
    found = [(i, v, a) for i, v in enumerate(graph.inputs) if (a := _channels(v)) is not None]
    if len(found) != 1:
        ends = ", ".join(f"{v.name}: {v.type}" for v in graph.inputs)
        what = "no input takes an image" if not found else "several inputs take an image"
        raise UsageError(f"{what}: {ends}", where=str(path), hint="give arrays (.npy, .npz)")
    index, value, axis = found[0]
    shape = base[value.name].shape
    channels = shape[axis]
    height, width = [e for i, e in enumerate(shape) if i not in (0, axis)]
    pixels = _pixels(path, height, width, channels)
    pixels = _normalized(pixels, index, value, properties, notes)
    array = (pixels if axis == 3 else pixels.transpose(2, 0, 1))[np.newaxis]
    batch = value.type.shape[0]
    return {value.name: np.repeat(array, batch if isinstance(batch, int) else 1, axis=0)}


def _channels(value: Value) -> int | None:
    """The axis of the channels of what may be an image; None for what may not."""
    shape = value.type.shape
    if value.type.rank != 4:
        return None
    return next((axis for axis in (3, 1) if shape[axis] in (1, 3, 4)), None)


def _pixels(path: Path, height: int, width: int, channels: int) -> Array:
    """The image as u8[height, width, channels]: the middle part with this aspect, scaled."""
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        what = "images are read by Pillow, which is not installed"
        raise MissingDependencyError(what, where=str(path), hint="pip install 'mmconvert[images]'") from error
    try:
        with Image.open(path) as opened:
            if opened.width * opened.height > LARGEST:
                raise UsageError(f"{opened.width} x {opened.height} pixels are too many", where=str(path))
            image = opened.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])
            fitted = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    except (*_BROKEN, Image.DecompressionBombError) as error:
        raise UsageError("is no image that Pillow can read", where=str(path)) from error
    return np.asarray(fitted, np.uint8).reshape(height, width, channels)


def _normalized(
    pixels: Array, index: int, value: Value, properties: Mapping[str, str], notes: dict[str, None]
) -> Array:
    """Pixels in the range that the input takes: what the model says, else what the graph shows."""
    if not dtypes.is_float(value.type.dtype):
        return pixels.astype(value.type.dtype)
    mean, std = (_numbers(properties.get(f"input_{index}.{name}", "")) for name in ("mean", "std"))
    if mean is not None and std is not None and len(mean) in (1, pixels.shape[-1]) and np.all(std):
        return ((pixels - mean) / std).astype(np.float32)
    if role_of(value).kind == "range":
        notes[f"the input {value.name!r} scales pixels itself: it got 0 to 255"] = None
        return pixels.astype(np.float32)
    notes[f"the model does not say how {value.name!r} is normalized: it got pixels from -1 to 1"] = None
    return (pixels / 127.5 - 1).astype(np.float32)


def _numbers(text: str) -> Array | None:
    try:
        return (
            np.array([float(part) for part in text.replace(",", " ").strip("[]() ").split()])
            if text
            else None
        )
    except ValueError:
        return None
