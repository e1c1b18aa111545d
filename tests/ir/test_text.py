import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.errors import InvalidModelError
from mmconvert.interpreter import run
from mmconvert.ir import store
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim
from mmconvert.ir.geometry import Same
from mmconvert.ir.graph import Graph, Origin
from mmconvert.ir.model import Metadata, Module
from mmconvert.ir.ops import Add, Cast, Clip, Conv, If, Less, Relu, Reshape, Tanh, While
from mmconvert.ir.text import Printer, parse_graph, random_weights
from mmconvert.ir.types import Layout, TensorType
from tests.cases import ALL


def _round_trip(graph: Graph) -> Graph:
    printer = Printer()
    text = printer.print(graph)
    again = parse_graph(text, lambda label, type: printer.weights[label])
    assert Printer().print(again) == text
    return again


@pytest.mark.parametrize("case", ALL, ids=str)
def test_every_case_prints_and_parses_back(case):
    graph, feeds = case.build()
    again = _round_trip(graph)
    assert [n.op for n in again] == [n.op for n in graph]
    assert [v.type for v in again.outputs] == [v.type for v in graph.outputs]
    for a, b in zip(run(graph, feeds).values(), run(again, feeds).values(), strict=True):
        np.testing.assert_array_equal(a, b)


def _sample() -> Graph:
    graph = Graph('a "quoted" name')
    b = Builder(graph)
    n = Dim.symbol("n")
    x = graph.input("input (1), x", TensorType(dtypes.F32, (n, 8, 8, 3)))
    with b.at(Origin("conv (1)", "Conv2D")):
        w = b.constant(np.ones((4, 3, 3, 3), np.float32), name="kernel:0")
        y = b(Conv(strides=(2, 2), dilations=(1, 1), padding=Same(), layout=Layout.NHWC), x, w)
    y.name = "strange -> name, %3"
    z = b(Clip(low=None, high=float("inf")), y)
    z = b(Reshape(shape=(n, 4 * 16)), z)
    graph.set_outputs([z, b(Cast(to=dtypes.F16), z)], ["probs", "half/Cast:0"])
    return graph


def test_names_origins_and_symbols_survive():
    graph = _sample()
    again = _round_trip(graph)
    nodes = list(again)
    assert nodes[0].origin == Origin("conv (1)", "Conv2D")
    assert nodes[0].output.name == "strange -> name, %3"
    assert again.inputs[0].name == "input (1), x"
    assert again.output_names == ["probs", "half/Cast:0"]
    assert str(again.outputs[0].type) == "f32[n,64]"


def _branch(op) -> Graph:
    graph = Graph(op.name)
    x = graph.input("x", TensorType(dtypes.F32, (2,)))
    graph.set_outputs([Builder(graph)(op, x)], ["y"])
    return graph


def test_sub_graphs_print_and_parse_back():
    graph = Graph("outer")
    b = Builder(graph)
    condition = graph.input("c", TensorType(dtypes.BOOL, ()))
    x = graph.input("x", TensorType(dtypes.F32, (2,)))
    y = b(If(then_branch=_branch(Relu()), else_branch=_branch(Tanh())), condition, x)
    graph.set_outputs([b(If(then_branch=_branch(Tanh()), else_branch=_branch(Relu())), condition, y)], ["y"])
    again = _round_trip(graph)
    value = np.array([-1.0, 2.0], np.float32)
    np.testing.assert_allclose(
        run(again, {"c": np.array(True), "x": value})["y"], np.tanh([0, 2.0]), rtol=1e-6
    )
    np.testing.assert_allclose(
        run(again, {"c": np.array(False), "x": value})["y"], np.maximum(np.tanh(value), 0), rtol=1e-6
    )


def test_while_runs_until_its_condition_is_false():
    scalar = TensorType(dtypes.F32, ())
    condition, body = Graph("condition"), Graph("body")
    condition.set_outputs([Builder(condition)(Less(), condition.input("i", scalar), 10.0)], ["go"])
    body.set_outputs([Builder(body)(Add(), body.input("i", scalar), 3.0)], ["next"])
    graph = Graph()
    start = graph.input("start", scalar)
    graph.set_outputs([Builder(graph)(While(condition=condition, body=body), start)], ["end"])
    assert run(_round_trip(graph), {"start": np.float32(1)})["end"] == 10.0
    assert run(graph, {"start": np.float32(11)})["end"] == 11.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not begin with a graph"),
        ('graph "g"(x: f32[2]) -> (y: f32[2])\n  %1 = Nothing(x)\n  return %1', "no operator Nothing"),
        ('graph "g"(x: f32[2]) -> (y: f32[2])\n  %1 = Relu(z)\n  return %1', "z is used before"),
        ('graph "g"(x: f32[2]) -> (y: f32[2])\n  %1 = Clip(x) {low=1.0}\n  return %1', "Clip lacks high"),
        (
            'graph "g"(x: f32[2]) -> (y: f32[2])\n  %1 = Clip(x) {low=a high=2}\n  return %1',
            "no value for Clip.low",
        ),
        ('graph "g"(x: f32[2]) -> (y: f32[2])\n  %1 = Clip(x) {wide=1}\n  return %1', "no attribute 'wide'"),
        ('graph "g"(x: f32[2]) -> (y: f32[2])\n  nonsense', "line 2 is not understood"),
        ('graph "g"(x: q9[2]) -> (y: f32[2])\n  return x', "no element type q9"),
        ('graph "g"(x: f32[2]) -> (y: f32[2])\n  %w1: f32[99] = weight\n  return x', "not in the text"),
    ],
)
def test_broken_text_names_the_line(text, message):
    with pytest.raises(InvalidModelError, match=message):
        parse_graph(text)


def test_random_weights_are_the_same_every_time():
    text = Printer().print(_sample())
    first, second = (parse_graph(text, random_weights(3)) for _ in range(2))
    for a, b in zip(first.constants(), second.constants(), strict=True):
        np.testing.assert_array_equal(a.constant.numpy(), b.constant.numpy())


def test_store_round_trip(tmp_path):
    module = Module(_sample(), Metadata("onnx", "someone 1.0", 17, ("cat", "dog"), {"key": "value"}))
    store.save(module, tmp_path / "m.mmir")
    store.save(module, tmp_path / "m.mmir")  # over an older one
    again = store.load(tmp_path / "m.mmir")
    assert again.metadata == module.metadata
    assert Printer().print(again.graph) == Printer().print(module.graph)
    for a, b in zip(again.graph.constants(), module.graph.constants(), strict=True):
        np.testing.assert_array_equal(a.constant.numpy(), b.constant.numpy())


@pytest.mark.parametrize("file", ["graph.txt", "weights.safetensors", "metadata.json"])
def test_a_broken_store_is_refused(tmp_path, file):
    store.save(Module(_sample()), tmp_path / "m.mmir")
    whole = (tmp_path / "m.mmir" / file).read_bytes()
    for end in range(0, len(whole) - 1, max(1, len(whole) // 20)):
        (tmp_path / "m.mmir" / file).write_bytes(whole[:end])
        with pytest.raises(InvalidModelError):
            store.load(tmp_path / "m.mmir")
    (tmp_path / "m.mmir" / file).unlink()
    with pytest.raises(InvalidModelError):
        store.load(tmp_path / "m.mmir")
