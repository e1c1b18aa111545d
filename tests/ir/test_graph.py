import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.errors import InferenceError, InternalError
from mmconvert.ir.builder import Builder
from mmconvert.ir.check import check
from mmconvert.ir.dims import Dim
from mmconvert.ir.graph import Graph, Origin, prune
from mmconvert.ir.ops import Add, Concat, Conv, Gather, Relu, Shape, Softmax, Split, Tanh
from mmconvert.ir.types import TensorType


def _type(*shape):
    return TensorType(dtypes.F32, shape)


def _chain():
    graph = Graph("g")
    b = Builder(graph)
    x = graph.input("x", _type(2, 3))
    y = b(Relu(), x)
    z = b(Add(), y, y)
    graph.set_outputs([z], ["z"])
    return graph, x, y, z


def test_uses_count_every_operand_and_every_output():
    graph, _, y, z = _chain()
    assert len(y.uses) == 2
    assert y.users == (z.producer,)
    assert z.users == (graph.result,)
    check(graph)


def test_replace_keeps_users_and_names():
    graph, x, y, z = _chain()
    y.name = "inner"
    new = graph.replace(y.producer, Tanh(), [x])
    assert z.producer.inputs == (new.output, new.output)
    assert new.output.name == "inner"
    assert [n.op.name for n in graph] == ["Tanh", "Add"]
    check(graph)


def test_a_node_in_use_is_not_removed():
    graph, _, y, _ = _chain()
    with pytest.raises(InternalError, match="still in use"):
        graph.remove(y.producer)


def test_a_rewrite_may_not_change_a_type():
    graph, _, y, _ = _chain()
    other = Builder(graph)(Relu(), graph.input("other", _type(2, 4)))
    with pytest.raises(InternalError, match="changed the type"):
        graph.replace_uses(y, other)


def test_nodes_may_be_replaced_and_removed_while_iterating():
    graph = Graph()
    b = Builder(graph)
    x = graph.input("x", _type(4))
    value = x
    for _ in range(50):
        value = b(Relu(), value)
    graph.set_outputs([value], ["y"])
    seen = 0
    for node in graph:
        seen += 1
        if seen % 2:
            graph.replace(node, Tanh(), node.inputs)
        else:
            graph.replace_uses(node.output, node.inputs[0])
            graph.remove(node)
    assert seen == 50
    assert [n.op.name for n in graph] == ["Tanh"] * 25
    check(graph)


def test_prune_removes_chains_that_nothing_reads():
    graph, _, y, _ = _chain()
    b = Builder(graph)
    b(Tanh(), b(Tanh(), y))
    assert len(graph) == 4
    assert prune(graph) == 2
    check(graph)


def test_several_outputs_and_optional_operands():
    graph = Graph()
    b = Builder(graph)
    x = graph.input("x", _type(5, 3))
    first, second = b.multi(Split(axis=0, sizes=(2, 3)), x)
    assert (first.type, second.type) == (_type(2, 3), _type(3, 3))
    assert second.index == 1
    with pytest.raises(InternalError, match="use multi"):
        b(Split(axis=0, sizes=(2, 3)), x)


def test_wrong_operands_name_the_place():
    graph = Graph()
    x = graph.input("x", _type(2, 3))
    with pytest.raises(InferenceError, match="Conv2D 'stem'"):
        graph.add(Add(), [x, graph.input("y", _type(2, 4))], origin=Origin("stem", "Conv2D"))
    with pytest.raises(InferenceError, match="has no b"):
        graph.add(Add(), [x])
    with pytest.raises(InferenceError, match="takes 1 operands, not 2"):
        graph.add(Relu(), [x, x])
    with pytest.raises(InferenceError, match="counted from the front"):
        graph.add(Softmax(axis=-1), [x])


def test_shape_arithmetic_is_followed_symbolically():
    n, h = Dim.symbol("n"), Dim.symbol("h")
    graph = Graph()
    b = Builder(graph)
    x = graph.input("x", _type(n, 3, h, h))
    batch = b(Gather(axis=0), b(Shape(), x), b.constant([0], dtypes.I64))
    doubled = b(
        Add(), b(Gather(axis=0), b(Shape(), x), b.constant([2], dtypes.I64)), b.constant([1], dtypes.I64)
    )
    shape = b(Concat(axis=0), batch, b.constant([-1], dtypes.I64), doubled)
    assert shape.extents == (n, -1, h + 1)


def test_numbers_become_constants_of_the_operand_beside_them():
    graph = Graph()
    y = Builder(graph)(Add(), graph.input("x", TensorType(dtypes.F16, (2,))), 1.5)
    constant = y.producer.inputs[1].constant
    assert constant.dtype == np.float16
    assert constant.numpy() == 1.5
    assert not constant.numpy().flags.writeable


def test_the_checker_sees_what_is_broken():
    graph, x, y, z = _chain()
    z.producer.inputs = (y, x)
    with pytest.raises(InternalError, match=r"after a_pass.*out of step"):
        check(graph, after="a_pass")
    graph, x, y, z = _chain()
    graph.output_names = []
    with pytest.raises(InternalError, match="have 0 names"):
        check(graph)
    graph, x, y, z = _chain()
    first = y.producer
    graph._unlink(first)
    graph._link(first, graph.result)
    with pytest.raises(InternalError, match="before it is made"):
        check(graph)


def test_conv_over_unknown_extents():
    h = Dim.symbol("h")
    graph = Graph()
    b = Builder(graph)
    from mmconvert.ir.geometry import Explicit
    from mmconvert.ir.types import Layout

    x = graph.input("x", _type(1, 3, h, 32))
    w = b.constant(np.zeros((8, 3, 3, 3), np.float32))
    conv = Conv(strides=(2, 2), dilations=(1, 1), padding=Explicit(((1, 1), (1, 1))), layout=Layout.NCHW)
    assert b(conv, x, w).type.shape == (1, 8, (h + 1) // 2, 16)


def test_every_edit_is_counted():
    graph, x, y, z = _chain()
    counts = [graph.edits]
    graph.replace(y.producer, Tanh(), [x])
    counts.append(graph.edits)
    graph.set_outputs([x], ["x"])
    counts.append(graph.edits)
    graph.set_output(0, z)
    counts.append(graph.edits)
    graph.input("more", _type(1))
    counts.append(graph.edits)
    assert counts == sorted(set(counts))
