"""Sequences and optionals of known length, taken apart and held against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.interpreter import run
from mmconvert.ir.types import Array
from mmconvert.parsers.onnx import load
from mmconvert.runtimes.onnxruntime import Session

X = np.arange(12, dtype=np.float32).reshape(4, 3)

BODIES = {
    "construct, insert, at": """
        i = Constant <value = int64 {-1}> ()
        z = Constant <value = int64 {0}> ()
        n = Neg(x)
        s = SequenceConstruct(x, n)
        t = SequenceInsert(s, w, z)
        u = SequenceErase(t, i)
        a = SequenceAt(u, i)
        l = SequenceLength(u)
        k = Cast <to = 1> (l)
        y = Mul(a, k)""",
    "empty, insert at the end, concatenate": """
        e = SequenceEmpty()
        s = SequenceInsert(e, x)
        t = SequenceInsert(s, w)
        y = ConcatFromSequence <axis = 1> (t)""",
    "stack along a new axis": """
        s = SequenceConstruct(x, w)
        y = ConcatFromSequence <axis = -1, new_axis = 1> (s)""",
    "split into equal parts": """
        c = Constant <value = int64 {3}> ()
        s = SplitToSequence <axis = 0> (x, c)
        i = Constant <value = int64 {1}> ()
        y = SequenceAt(s, i)""",
    "split by sizes": """
        c = Constant <value = int64[2] {1, 3}> ()
        s = SplitToSequence (x, c)
        i = Constant <value = int64 {1}> ()
        y = SequenceAt(s, i)""",
    "split into slices": """
        s = SplitToSequence <axis = 1, keepdims = 0> (x)
        i = Constant <value = int64 {2}> ()
        y = SequenceAt(s, i)""",
    "loop over a sequence": """
        c = Constant <value = int64 {3}> ()
        yes = Constant <value = bool {1}> ()
        e = SequenceEmpty()
        s = Loop(c, yes, e) <body = b
            (int64 i, bool go, seq(float[k,m]) v) => (bool next, seq(float[k,m]) r) {
            next = Identity(go)
            f = Cast <to = 1> (i)
            p = Mul(x, f)
            r = SequenceInsert(v, p)
        }>
        y = ConcatFromSequence <axis = 0> (s)""",
}


def save(body: str, folder: Path) -> Path:
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
        m (float[4,3] x, float[4,3] w) => (float[a,b] y) {{ {body} }}"""
    path = folder / "m.onnx"
    proto = onnx.parser.parse_model(text)
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.mark.parametrize("name", BODIES)
def test_sequences(name: str, tmp_path: Path) -> None:
    path = save(BODIES[name], tmp_path)
    feeds: dict[str, Array] = {"x": X, "w": X + 0.5}
    np.testing.assert_allclose(run(load(path).graph, feeds)["y"], Session(path).run(feeds)["y"], rtol=1e-6)


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        ("s = SequenceConstruct(x, w) y = Relu(s)", UnsupportedError, "of a sequence or an optional"),
        ("y = SequenceAt(x, w)", InvalidModelError, "operand 0 is no sequence"),
        (
            "i = Constant <value = int64 {2}> () s = SequenceConstruct(x, w) y = SequenceAt(s, i)",
            InvalidModelError,
            "there is no position 2 in a sequence of 2",
        ),
        (
            "c = Constant <value = int64[2] {1, 2}> () s = SplitToSequence (x, c) y = SequenceAt(s, c)",
            InvalidModelError,
            "does not split",
        ),
        (
            "e = SequenceEmpty() y = ConcatFromSequence <axis=0> (e)",
            InvalidModelError,
            "the sequence is empty",
        ),
        ("o = Optional() y = OptionalGetElement(o)", InvalidModelError, "the optional is empty"),
    ],
)
def test_refused(body: str, error: type[Exception], message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        load(save(body, tmp_path))


def test_inputs_that_are_sequences_become_tensors(tmp_path: Path) -> None:
    proto = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        m (seq(float[k,3]) s) => (seq(float[k,3]) r, float[a,3] y) {
            r = Identity(s)
            y = ConcatFromSequence <axis = 0> (s)
        }""")
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(UnsupportedError, match=r"items=\{'s': 2\}"):
        load(path)
    outputs = run(load(path, items={"s": 2}).graph, {"s_0": X, "s_1": X[:1]})
    assert list(outputs) == ["r_0", "r_1", "y"]
    np.testing.assert_array_equal(outputs["y"], np.concatenate([X, X[:1]]))
