from __future__ import annotations

import pytest

from mmconvert.errors import UsageError
from mmconvert.ir.ends import fix_dims, rename_ends
from mmconvert.ir.graph import Graph
from tests.verification.graphs import graph_of


def graph() -> Graph:
    return graph_of(
        """
        graph "g"(image: f32[n,h,2*h,3], "in:0": f32[n,7]) -> (a: f32[n,h,2*h,3], b: f32[n], "in:0": f32[n,7])
          %1 = Relu(image)
          %2 = ReduceSum("in:0") {axes=(1) keepdims=False}
          return %1, %2, "in:0"
        """
    )


@pytest.mark.parametrize(
    ("wanted", "types"),
    [
        ({"n": 2}, ["f32[2,h,2*h,3]", "f32[2,7]"]),
        ({"h": 5}, ["f32[n,5,10,3]", "f32[n,7]"]),
        ({"image:2": 8}, ["f32[n,4,8,3]", "f32[n,7]"]),
        ({"image:0": 2, "image:1": 4}, ["f32[2,4,8,3]", "f32[2,7]"]),
        ({"in:0:0": 3, "in:0:1": 7}, ["f32[3,h,2*h,3]", "f32[3,7]"]),
        ({"n": 2, "image:0": 2}, ["f32[2,h,2*h,3]", "f32[2,7]"]),
    ],
)
def test_extents(wanted: dict[str, int], types: list[str]) -> None:
    source = graph()
    before = str(source)
    fixed = fix_dims(source, wanted)
    assert [str(v.type) for v in fixed.inputs] == types
    assert [str(v.type) for v in fixed.outputs] == [types[0], types[1].replace(",7", ""), types[1]]
    assert str(source) == before
    assert fix_dims(source, {}) is source


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"m": 2}, r"no input has an extent called 'm'\n.*image is f32\[n,h,2\*h,3\], in:0 is f32\[n,7\]"),
        ({"in:0": 2}, "no input has an extent called 'in:0'"),
        ({"image:4": 2}, "no input has an extent called 'image:4'"),
        ({"image:3": 4}, "image:3 is 3 in the model, and cannot be 4"),
        ({"image:2": 7}, r"image:2 is 2\*h, and cannot be 7"),
        ({"n": 2, "in:0:0": 3}, "n cannot be 2 and 3"),
        ({"n": 0}, "from 1 on, not n=0"),
        ({"n": 1.5}, "from 1 on, not n=1.5"),
        ({"n": True}, "from 1 on, not n=True"),
        ({"n": 1 << 50}, "does not work with n=1125899906842624: .*no machine"),
    ],
)
def test_extents_that_are_refused(wanted: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fix_dims(graph(), wanted)


def test_names() -> None:
    source = graph()
    renamed = rename_ends(source, {"image": "x", "in:0": "y", "a": "b", "b": "a"})
    assert [v.name for v in renamed.inputs] == ["x", "y"]
    assert renamed.output_names == ["b", "a", "y"]
    assert [node.op.name for node in renamed] == ["Relu", "ReduceSum"]
    assert source.output_names == ["a", "b", "in:0"]
    assert rename_ends(source, {}) is source


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"z": "a"}, "no input or output called z\n.*its inputs are image, in:0; its outputs are a, b, in:0"),
        ({"image": "in:0"}, "image and in:0 would both be called 'in:0'"),
        ({"image": "a"}, "image and a would both be called 'a'"),
        ({"a": "c", "b": "c"}, "a and b would both be called 'c'"),
        ({"a": ""}, "need a name"),
    ],
)
def test_names_that_are_refused(names: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        rename_ends(graph(), names)


def test_an_extent_of_several_names_is_not_solved() -> None:
    source = graph_of('graph "g"(x: f32[n,h*n]) -> (x: f32[n,h*n])\n  return x\n')
    with pytest.raises(UsageError, match=r"x:1 is computed: it is h\*n"):
        fix_dims(source, {"x:1": 8})
