"""A file above 2 GB: its constants behind the FlatBuffer, written in little memory, and run by LiteRT."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import mmconvert
from benchmarks import measure
from mmconvert.emitters.tflite.file import ModelFile
from mmconvert.emitters.tflite.subgraph import GraphWriter
from mmconvert.runtimes.litert import Session
from tests.emitters.tflite.files import parsed
from tests.emitters.tflite.test_file import network

LAYERS = 12
GIGABYTES = 2.4e9
PEAK = 400 * measure.MEGABYTE
"""Far below the size of the model; the largest tensor has 67 MB, and is transposed on its way."""


@pytest.mark.large
@pytest.mark.timeout(900)
def test_a_transformer_of_more_than_two_gigabytes(tmp_path: Path) -> None:
    source, target = tmp_path / "in.onnx", tmp_path / "out.tflite"
    python = sys.executable
    measure.run([python, "-m", "benchmarks.transformer", str(source), "--layers", str(LAYERS)])
    run = measure.run([python, "-m", "mmconvert", str(source), str(target), "--no-verify"])
    assert run.peak < PEAK, f"{run.peak / measure.MEGABYTE:.0f} MB"
    assert target.stat().st_size > GIGABYTES
    session = Session(target, threads=2, delegate=False)
    (name,) = session.inputs
    feed = {name: np.random.default_rng(0).standard_normal((1, 128, 2048)).astype(np.float32)}
    found = session.run(feed)
    del session
    for path in (source, target):
        wanted = mmconvert.run(path, feed)
        for output, array in wanted.items():
            assert np.abs(found[output] - array).max() < 1e-5 * np.abs(array).max()


def test_where_the_constants_of_a_large_file_are(tmp_path: Path) -> None:
    file, path = ModelFile(), tmp_path / "m.tflite"
    GraphWriter(file).write_main(network())
    with path.open("wb") as stream:
        file.save(stream, limit=100)
    model, end = parsed(path), 0
    for index in range(1, model.BuffersLength() - 1):
        buffer = model.Buffers(index)
        assert buffer.DataLength() == 0
        assert buffer.Offset() % 16 == 0
        assert buffer.Offset() >= end
        end = buffer.Offset() + buffer.Size()
    assert end == path.stat().st_size
