"""Operator versions: the oldest that has what a use needs."""

from __future__ import annotations

import pytest

from mmconvert import dtypes
from mmconvert.emitters.tflite import kernels, versions
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.errors import UnsupportedError
from mmconvert.ir.types import TensorType

BUILTINS = [value for value in vars(tfl).values() if isinstance(value, tfl.Builtin)]


def types(*spelled: str) -> list[TensorType]:
    found = []
    for text in spelled:
        name, _, rest = text.partition("[")
        shape = tuple(int(e) for e in rest.rstrip("]").split(",") if e)
        found.append(TensorType(dtypes.BY_NAME[name], shape))
    return found


@pytest.mark.parametrize("builtin", BUILTINS, ids=lambda b: b.name)
def test_every_version_of_every_builtin_has_a_runtime(builtin: tfl.Builtin) -> None:
    for name in ("f32", "i32", "i64", "i8", "u8", "i16", "bool"):
        inputs = types(*[f"{name}[1,2,2,2]"] * 4)
        number = versions.version(builtin, inputs, types(f"{name}[1]"), {})
        assert versions.runtime([(builtin, number)])


@pytest.mark.parametrize(
    ("builtin", "inputs", "options", "expected"),
    [
        (tfl.CONV_2D, ("f32[1,4,4,4]", "f32[4,1,1,4]"), {}, 1),
        (tfl.CONV_2D, ("f32[1,4,4,4]", "f32[4,1,1,2]"), {}, 6),
        (tfl.CONV_2D, ("i8[1,4,4,4]", "i8[4,1,1,4]"), {}, 3),
        (tfl.DEPTHWISE_CONV_2D, ("f32[1,4,4,4]", "f32[1,3,3,4]"), {"dilation_w_factor": 2}, 2),
        (tfl.FULLY_CONNECTED, ("f32[1,4]", "f32[4,4]", "f32[4]"), {"keep_num_dims": True}, 5),
        (tfl.FULLY_CONNECTED, ("f32[1,4]", "f32[4,4]"), {}, 6),
        (tfl.TRANSPOSE_CONV, ("i32[4]", "f32[1,1,1,1]", "f32[1,1,1,1]", "f32[1]"), {}, 3),
        (tfl.TRANSPOSE_CONV, ("i32[4]", "f32[1,1,1,1]"), {"fused_activation_function": 1}, 4),
        (tfl.ADD, ("i64[1]", "i64[1]"), {}, 4),
        (tfl.SUB, ("f32[1,1,1,1,2]", "f32[1]"), {}, 3),
        (tfl.TRANSPOSE, ("f32[1,1,1,1,1]",), {}, 4),
        (tfl.TRANSPOSE, ("bool[1]",), {}, 3),
        (tfl.STRIDED_SLICE, ("f32[1,1,1,1,1]",), {}, 4),
        (tfl.RESIZE_BILINEAR, ("f32[1,1,1,1]",), {"half_pixel_centers": True}, 3),
        (tfl.RESIZE_NEAREST_NEIGHBOR, ("f32[1,1,1,1]",), {"align_corners": True}, 3),
        (tfl.GATHER, ("f32[1]", "i32[1]"), {"batch_dims": 1}, 5),
        (tfl.PAD, ("f32[1,1,1,1,1]", "i32[5,2]"), {}, 4),
        (tfl.BROADCAST_TO, ("f32[1]", "i32[1]"), {}, 2),
        (tfl.SPLIT, ("i32[]", "i32[4]"), {}, 3),
        (tfl.WHERE, ("f32[4]",), {}, 2),
        (tfl.FILL, ("i32[1]", "bool[]"), {}, 2),
    ],
)
def test_version(
    builtin: tfl.Builtin, inputs: tuple[str, ...], options: dict[str, int], expected: int
) -> None:
    assert versions.version(builtin, types(*inputs), types("f32[1]"), options) == expected


def test_casts_depend_on_both_types() -> None:
    assert versions.version(tfl.CAST, types("f32[1]"), types("i32[1]"), {}) == 1
    assert versions.version(tfl.CAST, types("f32[1]"), types("i8[1]"), {}) == 3
    assert versions.version(tfl.CAST, types("f16[1]"), types("f32[1]"), {}) == 5


def test_the_newest_operator_decides() -> None:
    assert versions.runtime([]) == "1.5.0"
    assert versions.runtime([(tfl.ADD, 1), (tfl.TRANSPOSE, 7), (tfl.MUL, 2)]) == "2.14.4"


@pytest.mark.parametrize(
    ("name", "carrier"), [("f32", "f32"), ("bool", "i32"), ("u8", "i16"), ("f16", "f16")]
)
def test_carriers(name: str, carrier: str) -> None:
    assert kernels.carrier(tfl.ADD, dtypes.BY_NAME[name]) == dtypes.BY_NAME[carrier]


def test_no_carrier() -> None:
    with pytest.raises(UnsupportedError, match="TFLite's DIV has no i64"):
        kernels.carrier(tfl.DIV, dtypes.I64)
