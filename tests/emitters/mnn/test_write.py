"""What MNN files hold: forms of tensors, fused operators, names, weights; and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmconvert import dtypes, mnnlib
from mmconvert.emitters import mnn as emitter
from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.interpreter.session import run
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim
from mmconvert.ir.geometry import Explicit, Same
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.model import Module
from mmconvert.ir.types import Layout, TensorType
from mmconvert.parsers import mnn as parser
from mmconvert.runtimes.mnn import Session
from mmconvert.tensors import Tensor
from tests.emitters.mnn.files import kinds, net, round_trip, write

PLAIN = {"strides": (1, 1), "dilations": (1, 1), "padding": Explicit.zero(2), "layout": Layout.NCHW}


def kernel(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def image(graph: Graph, *shape: int | Dim) -> Value:
    return graph.input("x", TensorType(dtypes.F32, shape))


def test_packed_tensors_are_converted_at_the_ends_only(tmp_path: Path) -> None:
    """Convolutions, activations, a residual sum, a pool and a concatenation: all of them packed."""
    graph = Graph()
    b = Builder(graph)
    x = image(graph, 1, 4, 6, 6)
    first = b(ops.Silu(), b(ops.Conv(**PLAIN), x, kernel(8, 4, 1, 1)))
    second = b(ops.Add(), b(ops.Conv(**PLAIN), first, kernel(8, 8, 1, 1)), first)
    joined = b(ops.Concat(axis=1), first, second)
    pooled = b(ops.MaxPool(kernel=(2, 2), **PLAIN), joined)
    graph.set_outputs([b(ops.Sigmoid(), pooled)], ["y"])
    path = round_trip(graph, {"x": kernel(1, 4, 6, 6)}, tmp_path)
    assert kinds(path) == [
        *("ConvertTensor", "Convolution", "UnaryOp", "Convolution", "BinaryOp", "Concat", "Pooling"),
        *("UnaryOp", "ConvertTensor"),
    ]


@pytest.mark.parametrize(
    ("activation", "flags"),
    [(ops.Relu(), (1, 0)), (ops.Clip(low=0.0, high=6.0), (0, 1)), (ops.Clip(low=0.0, high=5.0), (0, 0))],
)
def test_activations_are_written_in_convolutions(activation, flags, tmp_path: Path) -> None:
    graph = Graph()
    b = Builder(graph)
    y = b(ops.Conv(**PLAIN), image(graph, 1, 3, 4, 4), 4 * kernel(5, 3, 1, 1), kernel(5))
    graph.set_outputs([b(activation, y)], ["y"])
    path = round_trip(graph, {"x": kernel(1, 3, 4, 4)}, tmp_path)
    (record,) = [op for op in net(path).records("oplists", "Op") if op.number("type") == 12]
    main = record.record("main", "Convolution2D")
    assert main is not None
    common = main.record("common", "Convolution2DCommon")
    assert common is not None
    assert (common.number("relu"), common.number("relu6")) == flags
    assert kinds(path).count("ReLU6") == (flags == (0, 0))


def test_a_dense_layer_is_a_convolution_with_its_bias(tmp_path: Path) -> None:
    graph = Graph()
    b = Builder(graph)
    product = b(ops.MatMul(), image(graph, Dim.symbol("n"), 5, 4), kernel(4, 3))
    graph.set_outputs([b(ops.Relu(), b(ops.Add(), product, kernel(3)))], ["y"])
    path = round_trip(graph, {"x": kernel(2, 5, 4)}, tmp_path)
    assert kinds(path).count("Convolution") == 1
    assert not {"ReLU", "MatMul"} & set(kinds(path))


def test_less_is_never_written(tmp_path: Path) -> None:
    """Its kernel gives wrong elements."""
    graph = Graph()
    b = Builder(graph)
    graph.set_outputs([b(ops.Less(), image(graph, 64, 6), kernel(64, 6))], ["y"])
    path = round_trip(graph, {"x": np.roll(kernel(64, 6), 1)}, tmp_path)
    (record,) = [op for op in net(path).records("oplists", "Op") if op.number("type") == 7]
    main = record.record("main", "BinaryOp")
    assert main is not None
    assert main.number("opType") == mnnlib.BINARY["GREATER"]


def test_shapes_are_computed_while_the_model_runs(tmp_path: Path) -> None:
    graph = Graph()
    b = Builder(graph)
    n, w = Dim.symbol("n"), Dim.symbol("w")
    x = image(graph, n, 3, 8, w)
    same = {"strides": (2, 2), "dilations": (1, 1), "padding": Same(), "layout": Layout.NCHW}
    y = b(ops.Conv(**same), x, kernel(4, 3, 3, 3))
    graph.set_outputs(
        [b(ops.Reshape(shape=(n, 4, 4 * ((w + 1) // 2))), y), b(ops.Shape(), y)], ["y", "shape"]
    )
    path = write(graph, tmp_path)
    session = Session(path)
    for batch, width in ((1, 8), (2, 11), (1, 5)):
        found = session.run({"x": kernel(batch, 3, 8, width)})
        assert found["y"].shape == (batch, 4, 4 * -(-width // 2))
        np.testing.assert_array_equal(found["shape"], [batch, 4, 4, -(-width // 2)])


def test_branches_and_loops(tmp_path: Path) -> None:
    state = TensorType(dtypes.F32, (2, 3))
    count = TensorType(dtypes.I32, ())
    goes_on, body = Graph("condition"), Graph("body")
    k, _ = goes_on.input("k", count), goes_on.input("v", state)
    goes_on.set_outputs([Builder(goes_on)(ops.Less(), k, 3)], ["goes_on"])
    k, v = body.input("k", count), body.input("v", state)
    b = Builder(body)
    body.set_outputs([b(ops.Add(), k, 1), b(ops.Mul(), v, 2.0)], ["k", "v"])
    branches = []
    for op in (ops.Neg(), ops.Abs()):
        branch = Graph(op.name)
        branch.set_outputs([Builder(branch)(op, branch.input("v", state))], ["y"])
        branches.append(branch)
    graph = Graph()
    b = Builder(graph)
    x = image(graph, 2, 3)
    flag = graph.input("flag", TensorType(dtypes.BOOL, ()))
    start = b.constant(np.array(0, np.int32))
    _, doubled = b.multi(ops.While(condition=goes_on, body=body), start, x)
    chosen = b(ops.If(then_branch=branches[0], else_branch=branches[1]), flag, doubled)
    graph.set_outputs([chosen], ["y"])
    path, values = write(graph, tmp_path), kernel(2, 3)
    session, again = Session(path), parser.load(path).graph
    for given, wanted in ((True, -8 * values), (False, 8 * np.abs(values))):
        feeds = {"x": values, "flag": np.array(given)}
        np.testing.assert_array_equal(session.run(feeds)["y"], wanted)
        np.testing.assert_array_equal(run(again, feeds)["y"], wanted)


def test_a_loop_that_grows_its_state_is_read_back(tmp_path: Path) -> None:
    rows = Dim.symbol("rows")
    body = Graph("body")
    body.input("number", TensorType(dtypes.I64, ()))
    flag = body.input("goes_on", TensorType(dtypes.BOOL, ()))
    state = body.input("state", TensorType(dtypes.F32, (rows, 3)))
    row = body.input("row", TensorType(dtypes.F32, (1, 3)))
    body.set_outputs([flag, Builder(body)(ops.Concat(axis=0), state, row)], ["goes_on", "state"])
    graph = Graph()
    b = Builder(graph)
    x, count = image(graph, 1, 3), graph.input("count", TensorType(dtypes.I64, ()))
    op = ops.Loop(body=body, carried=1, shapes=((Dim.symbol("made"), 3),))
    graph.set_outputs([b(op, count, None, x, x)], ["y"])
    path = write(graph, tmp_path)
    feeds = {"x": kernel(1, 3), "count": np.array(4, np.int64)}
    wanted = np.repeat(kernel(1, 3), 5, axis=0)
    np.testing.assert_array_equal(Session(path).run(feeds)["y"], wanted)
    np.testing.assert_array_equal(run(parser.load(path).graph, feeds)["y"], wanted)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("steps", [1, 7])
def test_a_gru_is_one_operator(direction: str, linear: bool, steps: int, tmp_path: Path) -> None:
    """Its last states, too: those that MNN gives of two directions are wrong."""
    count = 1 if direction == "forward" else 2
    op = ops.GRU(
        hidden_size=6,
        direction=direction,
        activations=("Sigmoid", "Tanh") * count,
        alphas=(0.0, 0.0) * count,
        betas=(0.0, 0.0) * count,
        linear_before_reset=linear,
    )
    graph = Graph()
    b = Builder(graph)
    x, start = image(graph, steps, 2, 5), graph.input("h", TensorType(dtypes.F32, (count, 2, 6)))
    parameters = kernel(count, 18, 5), kernel(count, 18, 6), kernel(count, 36)
    graph.set_outputs(list(b.multi(op, x, *parameters, None, start)), ["y", "last"])
    path = round_trip(graph, {"x": kernel(steps, 2, 5), "h": kernel(count, 2, 6)}, tmp_path)
    assert "RNNSequenceGRU" in kinds(path)
    assert "While" not in kinds(path)


def test_half_floats_take_half_the_place(tmp_path: Path) -> None:
    graph = Graph()
    b = Builder(graph)
    half = Tensor.of(kernel(64, 32, 3, 3).astype(np.float16))
    weight = b.constant(half.cast(dtypes.F32))
    graph.set_outputs([b(ops.Conv(**PLAIN), image(graph, 1, 32, 8, 8), weight)], ["y"])
    path = round_trip(graph, {"x": kernel(1, 32, 8, 8)}, tmp_path)
    assert half.nbytes < path.stat().st_size < 1.1 * half.nbytes


def test_the_same_bytes_each_time(tmp_path: Path) -> None:
    written = []
    for name in ("a.mnn", "b.mnn"):
        graph = Graph()
        b = Builder(graph)
        graph.set_outputs([b(ops.Conv(**PLAIN), image(graph, 1, 3, 4, 4), kernel(5, 3, 1, 1))], ["y"])
        emitter.write(Module(graph), tmp_path / name)
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]


def test_integers_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    graph = Graph()
    b = Builder(graph)
    x = graph.input("x", TensorType(dtypes.I64, (2,)))
    graph.set_outputs([b(ops.Add(), x, np.array([1, 1 << 40]))], ["y"])
    with pytest.raises(UnsupportedError, match="does not fit"):
        emitter.write(Module(graph), tmp_path / "m.mnn")
    assert not list(tmp_path.iterdir())


def test_everything_that_is_missing_is_listed(tmp_path: Path) -> None:
    graph = Graph()
    b = Builder(graph)
    x = graph.input("x", TensorType(dtypes.F64, (2, 2)))
    graph.set_outputs([b(ops.Sin(), x), b(ops.Det(), x)], ["y", "z"])
    with pytest.raises(UnsupportedError) as caught:
        emitter.write(Module(graph), tmp_path / "m.mnn")
    assert {p.what.split(":")[0] for p in caught.value.problems} >= {"Sin", "Det"}


def test_a_sum_is_clipped_where_it_is_made(tmp_path: Path) -> None:
    graph = Graph()
    b = Builder(graph)
    x = image(graph, 1, 3, 8, 8)
    left, right = (b(ops.Conv(**PLAIN), x, kernel(4, 3, 1, 1)) for _ in range(2))
    graph.set_outputs([b(ops.Relu(), b(ops.Add(), left, right))], ["y"])
    path = round_trip(graph, {"x": kernel(1, 3, 8, 8)}, tmp_path)
    assert kinds(path) == ["ConvertTensor", "Convolution", "Convolution", "BinaryOp", "ConvertTensor"]


@pytest.mark.parametrize("keepdims", [True, False])
def test_gates_of_packed_images_stay_packed(tmp_path: Path, keepdims: bool) -> None:
    graph = Graph()
    b = Builder(graph)
    y = b(ops.Conv(**PLAIN), image(graph, 2, 3, 8, 8), kernel(6, 3, 1, 1))
    mean = b(ops.ReduceMean(axes=(2, 3), keepdims=keepdims), y)
    gate = mean if keepdims else b(ops.Unsqueeze(axes=(2, 3)), b(ops.Neg(), mean))
    graph.set_outputs([b(ops.Mul(), gate, y)], ["y"])
    path = round_trip(graph, {"x": kernel(2, 3, 8, 8)}, tmp_path)
    assert "Reduction" not in kinds(path)
    if keepdims:
        assert kinds(path) == ["ConvertTensor", "Convolution", "Pooling", "BinaryOp", "ConvertTensor"]


def test_a_file_that_does_not_load_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str, path: Path, _: float) -> None:
        assert name == "mnn"
        assert kinds(path) == ["UnaryOp"]
        raise InvalidModelError("refused")

    monkeypatch.setattr(emitter, "rehearse", refuse)
    graph = Graph()
    graph.set_outputs([Builder(graph)(ops.Exp(), image(graph, 2, 3))], ["y"])
    with pytest.raises(InvalidModelError, match="refused"):
        write(graph, tmp_path)
    assert not list(tmp_path.iterdir())
