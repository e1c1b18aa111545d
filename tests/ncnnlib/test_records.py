"""The grammar of ``.param``, in text and in binary."""

from __future__ import annotations

import ncnn
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmconvert.errors import InvalidModelError
from mmconvert.ncnnlib import binary, records, schema
from mmconvert.ncnnlib.records import Layer

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
INTEGERS = st.integers(-(1 << 31), (1 << 31) - 1)
VALUES = st.one_of(
    INTEGERS,
    FLOATS,
    st.lists(INTEGERS, max_size=4).map(tuple),
    st.lists(FLOATS, min_size=1, max_size=4).map(tuple),
    st.sampled_from(["0w,*(0h,2)", "a", ""]),
)
PARAMETERS = st.dictionaries(st.integers(0, 31), VALUES, max_size=4)


def layers(parameters: dict[int, records.Parameter]) -> list[Layer]:
    return [Layer("Input", "x", [], ["x"]), Layer("ReLU", "r", ["x"], ["y"], parameters)]


@given(PARAMETERS)
def test_what_is_written_is_read(parameters: dict[int, records.Parameter]) -> None:
    text = records.write_text(layers(parameters))
    assert records.read_text(text, "here") == layers(parameters)
    assert all(
        len(word) < 16
        for word in text.decode().replace(",", " ").replace("=", " ").split()
        if '"' not in word
    )


def test_the_numbers_of_kinds_are_those_of_the_runtime() -> None:
    assert [ncnn.layer_to_index(kind) for kind in schema.KINDS] == list(range(len(schema.KINDS)))


def test_binary_is_the_text_in_numbers() -> None:
    wanted = [
        Layer("Input", "x", [], ["x"], {0: 4}),
        Layer("Clip", "c", ["x"], ["y"], {0: -0.5, 1: 2.0}),
        Layer("Reduction", "r", ["y"], ["z"], {1: 0, 3: (0, 1), 2: 0.5}),
        Layer("Interp", "i", ["z"], ["w"], {9: "0w,*(0h,2)"}),
    ]
    found = binary.read(binary.write(wanted), "here")
    assert [(a.kind, a.parameters) for a in found] == [(a.kind, a.parameters) for a in wanted]
    assert [layer.inputs for layer in found] == [[], ["blob0"], ["blob1"], ["blob2"]]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("0=3", 3),
        ("0=-3", -3),
        ("0=3.5", 3.5),
        ("0=1e-3", float(np.float32(1e-3))),
        ("0=1.000000e+00", 1.0),
        ("-23300=2,1,2", (1, 2)),
        ("-23300=2,1.0,2.5", (1.0, 2.5)),
        ("-23300=0", ()),
        ("0=1,2,3", (1, 2, 3)),
        ("0=1.5,2", (1.5, 2.0)),
        ("0=3,", (3,)),
        ('0="0w,0h"', "0w,0h"),
        ("0=abc", "abc"),
    ],
)
def test_values(line: str, value: records.Parameter) -> None:
    text = f"7767517\n2 2\nInput x 0 1 x\nReLU r 1 1 x y {line}\n"
    assert records.read_text(text.encode(), "here")[1].parameters == {0: value}


GOOD = "7767517\n3 3\nInput x 0 1 x\nReLU r 1 1 x y\nReLU s 1 1 y z\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("7767517", "7767518", "begins with"),
        ("3 3\n", "4 3\n", "4 layers are announced"),
        ("3 3\n", "3\n", "numbers of layers"),
        ("3 3\n", "3 2\n", "2 blobs are announced"),
        ("y z\n", "x z\n", "read twice, without a Split"),
        ("y z\n", "q z\n", "read before it is made"),
        ("y z\n", "y x\n", "made twice"),
        ("1 1 y z\n", "9 1 y z\n", "names of blobs are missing"),
        ("1 1 y z\n", "a 1 y z\n", "two counts"),
        ("y z\n", "y z 99=1\n", "no parameter"),
        ("y z\n", "y z 1=\n", "no parameter"),
        ("y z\n", "y z -23300=3,1,2\n", "no parameter"),
        ("y z\n", "y z 1=99999999999\n", "no parameter"),
        ("y z\n", 'y z 1="abc\n', "no parameter"),
        ("y z\n", "y " + "z" * 256 + "\n", "too long"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(InvalidModelError, match=message):
        records.read_text(GOOD.replace(old, new, 1).encode(), "here")
