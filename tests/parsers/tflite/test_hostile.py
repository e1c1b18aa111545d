"""Files that lie: offsets, counts and numbers that no writer makes."""

from __future__ import annotations

import random
import resource
import struct
import time
from pathlib import Path

import numpy as np
import pytest

import mmconvert
from mmconvert import flatview
from mmconvert.errors import InvalidModelError, MMConvertError, UnsupportedError
from tests.parsers.tflite import test_control as control
from tests.parsers.tflite import test_integer_kernels as integers
from tests.parsers.tflite import test_recurrent as recurrent
from tests.parsers.tflite.files import Graph, Op, Tensor, build, load, save
from tests.parsers.tflite.test_tensors import added, sparse

X = Tensor((3,))
ADD = Op("ADD", [0, 1], [2], {}, "AddOptions")
SOUND = build(Graph([X, Tensor.of(np.ones(3, np.float32)), X], [ADD], [0], [2]))


def test_the_sound_file_loads(tmp_path: Path) -> None:
    assert len(load(SOUND, tmp_path).graph) == 1


@pytest.mark.parametrize("root", [4, len(SOUND) - 4, len(SOUND), 1 << 31, (1 << 32) - 1])
def test_a_root_that_is_nowhere(root: int, tmp_path: Path) -> None:
    with pytest.raises((InvalidModelError, UnsupportedError)):
        load(struct.pack("<I", root) + SOUND[4:], tmp_path)


def test_every_word_replaced_by_the_largest(tmp_path: Path) -> None:
    """Offsets, counts and vtables, one after the other; each in bounded time."""
    outcomes = set()
    for at in range(0, len(SOUND) - 4, 4):
        for word in (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\0\0\0\0"):
            begun = time.monotonic()
            try:
                mmconvert.load(save(SOUND[:at] + word + SOUND[at + 4 :], tmp_path))
                outcomes.add("loaded")
            except (InvalidModelError, UnsupportedError) as error:
                outcomes.add(type(error).__name__)
            assert time.monotonic() - begun < 5
    assert "InvalidModelError" in outcomes


def test_a_vector_longer_than_the_file() -> None:
    data = struct.pack("<IHHII", 8, 6, 8, 0, 0)
    table = bytearray(struct.pack("<I", 12) + struct.pack("<HHH", 6, 8, 4) + b"\0\0")
    table += struct.pack("<iI", 8, 4) + struct.pack("<I", 1 << 30)
    with pytest.raises(InvalidModelError, match="longer than it"):
        flatview.root(memoryview(bytes(table))).vector(0, "i64")
    with pytest.raises(InvalidModelError):
        flatview.root(memoryview(data)).text(0)


def test_enormous_shapes(tmp_path: Path) -> None:
    huge = Tensor((1 << 30, 1 << 30))
    with pytest.raises(InvalidModelError):
        load(build(Graph([huge, huge, huge], [ADD], [0, 1], [2])), tmp_path)


def test_an_enormous_state(tmp_path: Path) -> None:
    state = Tensor((1 << 30, 1 << 30), variable=True)
    with pytest.raises(InvalidModelError, match="a variable of shape"):
        load(build(Graph([X, state, X], [ADD], [0], [2])), tmp_path)


@pytest.mark.parametrize(("inputs", "outputs"), [([7, 1], [2]), ([0, 1], [9]), ([0, -5], [2])])
def test_tensors_that_are_not_there(inputs: list[int], outputs: list[int], tmp_path: Path) -> None:
    data = build(Graph([X, X, X], [Op("ADD", inputs, outputs, {}, "AddOptions")], [0, 1], [2]))
    with pytest.raises(InvalidModelError, match="there is no tensor"):
        load(data, tmp_path)


def test_options_of_another_operator(tmp_path: Path) -> None:
    op = Op("ADD", [0, 1], [2], {"fusedActivationFunction": 1}, "MulOptions")
    with pytest.raises(InvalidModelError, match="options of another operator"):
        load(build(Graph([X, X, X], [op], [0, 1], [2])), tmp_path)


def test_another_version_of_the_schema(tmp_path: Path) -> None:
    at = SOUND.index(struct.pack("<I", 3), 8)
    with pytest.raises((UnsupportedError, InvalidModelError)):
        load(SOUND[:at] + struct.pack("<I", 9) + SOUND[at + 4 :], tmp_path)


def convolution() -> bytes:
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(6, 3, 3, 4)).astype(np.float32), np.zeros(6, np.float32)
    options = {"padding": 0, "strideH": 2, "strideW": 2, "fusedActivationFunction": 1}
    tensors = [Tensor((1, 8, 8, 4)), Tensor.of(kernel), Tensor.of(bias), Tensor((1, 4, 4, 6))]
    return build(Graph(tensors, [Op("CONV_2D", [0, 1, 2], [3], options, "Conv2DOptions")], [0], [3]))


KINDS = {
    "float": convolution(),
    "int8": next(c for c in integers.CASES if str(c) == "CONV_2D/1x1").build("int8"),
    "if": control.branching(),
    "while": control.counting(),
    "state": control.variables(),
    "sparse": added(sparse(np.eye(3, dtype=np.float32))),
    "recurrent": recurrent.lstm(projection=True, norm=True),
}
COUNT = 500
"""For each kind: more than 2000 in all."""
NASTY = [0, 1, 2, 3, 4, 5, 7, 8, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFC, 1 << 20]


def damaged(sound: bytes, rng: random.Random) -> bytes:
    """With some bytes, words or stretches changed; among them words that exchange their places."""
    data = bytearray(sound)
    for _ in range(rng.randint(1, 3)):
        at, other = (rng.randrange(0, len(data) - 4) for _ in range(2))
        match rng.randrange(5):
            case 0:
                data[at] = rng.randrange(256)
            case 1:
                struct.pack_into("<I", data, at & ~3, rng.choice(NASTY))
            case 2:
                struct.pack_into("<i", data, at & ~3, rng.randint(-64, 64))
            case 3:
                at, other = at & ~3, other & ~3
                data[at : at + 4], data[other : other + 4] = data[other : other + 4], data[at : at + 4]
            case 4:
                del data[at : at + rng.randint(1, 30)]
        if len(data) < 16:
            break
    return bytes(data)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files(kind: str, tmp_path: Path) -> None:
    """Errors of ours or a model, in little time and memory."""
    rng, outcomes = random.Random(kind), {"loaded": 0, "refused": 0}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(COUNT):
        begun = time.monotonic()
        try:
            module = mmconvert.load(save(damaged(KINDS[kind], rng), tmp_path))
            for value in module.graph.constants():
                assert value.constant is not None
                value.constant.numpy()
            outcomes["loaded"] += 1
        except MMConvertError:
            outcomes["refused"] += 1
        assert time.monotonic() - begun < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB
    assert min(outcomes.values()) > COUNT // 50
