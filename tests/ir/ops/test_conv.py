from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.errors import InferenceError
from mmconvert.ir.dims import Dim
from mmconvert.ir.geometry import Explicit, Same
from mmconvert.ir.ops import Conv, ConvTranspose
from mmconvert.ir.types import Array, Layout, TensorType
from tests.cases.case import Case
from tests.cases.conv import CASES
from tests.ir.ops.onnx_oracle import fields, operands, pads_attribute, run_node


def channels_first(case: Case) -> tuple[Array, list[Array]]:
    """What the operator computes, and its operands, both as ONNX lays them out."""
    arrays = operands(case)
    y = case.op.evaluate(*arrays)
    if fields(case).layout is Layout.NHWC:
        y, arrays[:2] = (
            np.moveaxis(y, -1, 1),
            [np.ascontiguousarray(np.moveaxis(a, -1, 1)) for a in arrays[:2]],
        )
    return y, arrays


def attributes(op: Conv | ConvTranspose) -> dict[str, Any]:
    return {"strides": op.strides, "dilations": op.dilations, "group": op.groups}


@pytest.mark.parametrize("case", [c for c in CASES if isinstance(c.op, Conv)], ids=str)
def test_conv_is_onnx_runtimes(case: Case) -> None:
    op, (y, arrays) = fields(case), channels_first(case)
    pads = pads_attribute(op.padding, arrays[0].shape[2:], arrays[1].shape[2:], op.strides, op.dilations)
    (expected,) = run_node("Conv", arrays, attributes={**attributes(op), "pads": pads})
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "case",
    [
        c
        for c in CASES
        if isinstance(fields(c).padding, Same) and max(fields(c).dilations) == 1 and isinstance(c.op, Conv)
    ],
    ids=str,
)
def test_same_is_auto_pad(case: Case) -> None:
    # ONNX Runtime refuses auto_pad together with dilations, which ONNX allows.
    y, arrays = channels_first(case)
    auto_pad = "SAME_UPPER" if fields(case).padding.extra_after else "SAME_LOWER"
    (expected,) = run_node("Conv", arrays, attributes={**attributes(fields(case)), "auto_pad": auto_pad})
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


# ONNX Runtime never extends the output: ONNX and TensorFlow make it stride times the input.
SHORT = "2d_same_stride_above_kernel"


@pytest.mark.parametrize(
    "case", [c for c in CASES if isinstance(c.op, ConvTranspose) and SHORT not in c.name], ids=str
)
def test_conv_transpose_is_onnx_runtimes(case: Case) -> None:
    op, (y, arrays) = fields(case), channels_first(case)
    given = attributes(op)
    if isinstance(op.padding, Explicit):
        given["pads"] = pads_attribute(op.padding, (), (), (), ())
        given["output_padding"] = op.output_padding
    else:
        given["auto_pad"] = "SAME_UPPER" if op.padding.extra_after else "SAME_LOWER"
    (expected,) = run_node("ConvTranspose", arrays, attributes=given)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def conv_1d(x: list[float], kernel: list[float], **given: Any) -> Any:
    op = Conv(**{"strides": (1,), "dilations": (1,), "layout": Layout.NCHW, **given})
    return op.evaluate(np.array(x).reshape(1, 1, -1), np.array(kernel).reshape(1, 1, -1)).reshape(-1).tolist()


def test_conv_by_hand() -> None:
    ones = [1.0, 10.0, 100.0]
    assert conv_1d([1, 2, 3, 4], ones, padding=Explicit(((0, 0),))) == [321, 432]
    # An even extent with stride 2: the one padded zero stands after (TensorFlow), or before (SAME_LOWER).
    assert conv_1d([1, 2, 3, 4], ones, strides=(2,), padding=Same()) == [321, 43]
    assert conv_1d([1, 2, 3, 4], ones, strides=(2,), padding=Same(extra_after=False)) == [210, 432]
    assert conv_1d([1, 2, 3, 4, 5], ones, dilations=(2,), padding=Same()) == [310, 420, 531, 42, 53]
    assert conv_1d([1, 2, 3], ones, padding=Explicit(((2, 0),))) == [100, 210, 321]


def transposed_1d(x: list[float], kernel: list[float], **given: Any) -> Any:
    op = ConvTranspose(
        **{"strides": (2,), "dilations": (1,), "output_padding": (0,), "layout": Layout.NHWC, **given}
    )
    return op.evaluate(np.array(x).reshape(1, -1, 1), np.array(kernel).reshape(1, -1, 1)).reshape(-1).tolist()


def test_conv_transpose_by_hand() -> None:
    full = [1, 10, 102, 20, 203, 30, 300]
    x, kernel = [1.0, 2.0, 3.0], [1.0, 10.0, 100.0]
    assert transposed_1d(x, kernel, padding=Explicit(((0, 0),))) == full
    assert transposed_1d(x, kernel, padding=Explicit(((0, 0),)), output_padding=(1,)) == [*full, 0]
    assert transposed_1d(x, kernel, padding=Same()) == full[:-1]
    assert transposed_1d(x, kernel, padding=Same(extra_after=False)) == full[1:]
    # A kernel shorter than the stride: the output is still stride times the input, the rest of it zeros.
    assert transposed_1d([1, 2], [5], padding=Same()) == [5, 0, 10, 0]


def test_depthwise_multiplier_follows_its_channel() -> None:
    op = Conv(strides=(1,), dilations=(1,), padding=Explicit(((0, 0),)), groups=2, layout=Layout.NHWC)
    y = op.evaluate(np.array([[[1.0, 100.0]]]), np.array([1.0, 2.0, 3.0, 4.0]).reshape(4, 1, 1))
    assert y.reshape(-1).tolist() == [1, 2, 300, 400]


def test_extents_may_be_symbols() -> None:
    n, h = Dim.symbol("n"), Dim.symbol("h")
    x = TensorType(dtypes.F32, (n, h, 224, 3))
    weight = TensorType(dtypes.F32, (8, 3, 3, 3))
    bias = TensorType(dtypes.F32, (8,))

    def shape(op: Conv | ConvTranspose) -> str:
        return str(op.infer(x, weight, bias))

    both: dict[str, Any] = {"dilations": (1, 1), "layout": Layout.NHWC}
    assert shape(Conv(strides=(1, 1), padding=Explicit(((0, 0), (0, 0))), **both)) == "f32[n,h-2,222,8]"
    assert shape(Conv(strides=(2, 2), padding=Explicit(((1, 1), (0, 1))), **both)) == "f32[n,(h+1)//2,112,8]"
    assert shape(Conv(strides=(2, 2), padding=Same(), **both)) == "f32[n,(h+1)//2,112,8]"
    weight = TensorType(dtypes.F32, (3, 3, 3, 8))
    both["output_padding"] = (1, 0)
    assert (
        shape(ConvTranspose(strides=(2, 2), padding=Explicit(((1, 1), (1, 1))), **both)) == "f32[n,2*h,447,8]"
    )
    assert shape(ConvTranspose(strides=(2, 3), padding=Same(), **both)) == "f32[n,2*h,672,8]"


PLAIN: dict[str, Any] = {
    "strides": (1,),
    "dilations": (1,),
    "padding": Explicit(((0, 0),)),
    "layout": Layout.NCHW,
}


@pytest.mark.parametrize(
    ("x", "weight", "bias", "changed", "message"),
    [
        ("i32[1,4,8]", "i32[2,4,3]", None, {}, "a floating-point tensor is needed, not i32"),
        ("f32[4,8]", "f32[2,4]", None, {}, "a batch, a channel and a spatial axis"),
        ("f32[1,4,8]", "f32[2,4,3,1]", None, {}, "rank 3"),
        ("f32[1,4,8]", "f64[2,4,3]", None, {}, "a weight of the type"),
        ("f32[1,4,8]", "f32[2,3,3]", None, {}, "3 channels"),
        ("f32[1,4,8]", "f32[3,2,3]", None, {"groups": 2}, "a multiple of 2 filters"),
        ("f32[1,4,8]", "f32[3,1,3]", None, {"groups": 3}, "3 groups"),
        ("f32[1,4,8]", "f32[3,4,3]", None, {"groups": 0}, "0 groups"),
        ("f32[1,4,8]", "f32[2,4,3]", "f32[3]", {}, "a bias of 2 elements"),
        ("f32[1,4,8]", "f32[2,4,3]", "f32[1,2]", {}, "rank 1"),
        ("f32[1,4,8]", "f32[2,4,0]", None, {}, "a kernel that is not empty"),
        ("f32[1,4,8]", "f32[2,4,9]", None, {}, "a window of 9 does not fit"),
        ("f32[1,4,8]", "f32[2,4,3]", None, {"strides": (0,)}, "one positive stride"),
        ("f32[1,4,8]", "f32[2,4,3]", None, {"strides": (1, 1)}, "one positive stride"),
        ("f32[1,4,8]", "f32[2,4,3]", None, {"dilations": ()}, "one positive dilation"),
        ("f32[1,4,8]", "f32[2,4,3]", None, {"padding": Explicit(())}, "padding for 1 spatial axes"),
    ],
)
def test_what_does_not_fit_is_refused(
    x: str, weight: str, bias: str | None, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(InferenceError, match=message):
        Conv(**{**PLAIN, **changed}).infer(parse(x), parse(weight), None if bias is None else parse(bias))


def test_a_transpose_that_pads_all_away_is_refused() -> None:
    op = ConvTranspose(**{**PLAIN, "padding": Explicit(((5, 5),))}, output_padding=(0,))
    with pytest.raises(InferenceError, match="more than the padding takes away"):
        op.infer(parse("f32[1,4,3]"), parse("f32[4,2,3]"))
    with pytest.raises(InferenceError, match="one output_padding for each"):
        ConvTranspose(**PLAIN, output_padding=()).infer(parse("f32[1,4,3]"), parse("f32[4,2,3]"))


def parse(spec: str) -> TensorType:
    name, _, shape = spec.partition("[")
    return TensorType(dtypes.BY_NAME[name], tuple(int(e) for e in shape.rstrip("]").split(",")))
