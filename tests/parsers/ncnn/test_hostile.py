"""Damaged files: an error of ours, or a model; quickly, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmconvert.errors import MMConvertError
from mmconvert.parsers import ncnn as parser
from tests.parsers.ncnn.files import f32, tagged, write

LINES = [
    "Input x 0 1 x 0=9 1=8 2=6",
    "Split s 1 2 x a b",
    "Convolution c 1 1 a d 0=4 1=3 4=1 5=1 6=216 9=2 -23310=1,0.1",
    "PReLU p 1 1 d e 0=4",
    "Pooling m 1 1 e f 0=1 1=3 2=2",
    "Reshape q 1 1 f g 0=-1 1=4",
    "Permute o 1 1 g h 0=1",
    "InnerProduct i 1 1 h k 0=5 1=1 2=20",
    'Reshape w 1 1 b l 6="*(0w,0h),0c"',
    "Crop t 1 1 l u -23309=1,1 -23310=1,-1 -23311=1,0",
    "Interp n 1 1 u v 0=2 3=1 4=13",
    "BatchNorm z 1 1 v y 0=4",
]
NASTY = ["-1", "0", "-233", "99999999", "2147483647", "-2147483648", "1e30", "0.5", "4,4", '"0w"', "", "nan"]
COUNT = 2000


@pytest.fixture
def model(tmp_path: Path) -> Path:
    weights = (tagged(216), f32(4), f32(4), tagged(20), f32(5), f32(4), f32(4), f32(4), f32(4))
    return write(tmp_path, LINES, *weights)


def damaged(data: bytes, rng: random.Random) -> Iterator[bytes]:
    for _ in range(COUNT):
        copy = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(copy))
            match rng.randrange(4):
                case 0:
                    copy[place] = rng.randrange(256)
                case 1:
                    copy[place] = rng.choice(b'0123456789-=., \n"xyz')
                case 2:
                    del copy[place : place + rng.randint(1, 40)]
                case 3:
                    copy[place:place] = copy[max(place - 20, 0) : place]
            if not copy:
                break
        yield bytes(copy)


def read(path: Path) -> None:
    try:
        for value in parser.load(path).graph.constants():
            assert value.constant is not None
            value.constant.numpy()
    except MMConvertError:
        pass


def test_damaged_records(model: Path) -> None:
    for data in damaged(model.read_bytes(), random.Random(1)):
        model.write_bytes(data)
        read(model)


def test_nasty_values(model: Path) -> None:
    text, rng = model.read_text(), random.Random(2)
    words = text.split(" ")
    for _ in range(COUNT):
        changed = list(words)
        for place in rng.sample(range(len(words)), 2):
            key, equals, _ = changed[place].partition("=")
            changed[place] = f"{key}{equals}{rng.choice(NASTY)}" if equals else rng.choice(NASTY)
        model.write_text(" ".join(changed))
        read(model)


def test_damaged_weights(model: Path) -> None:
    path = model.with_suffix(".bin")
    for data in damaged(path.read_bytes(), random.Random(3)):
        path.write_bytes(data)
        read(model)


def test_damaged_binary_records(model: Path) -> None:
    from mmconvert.ncnnlib import binary, records

    whole = binary.write(records.read_text(model.read_bytes(), "here"))
    for data in damaged(whole, random.Random(4)):
        model.write_bytes(data)
        read(model)
