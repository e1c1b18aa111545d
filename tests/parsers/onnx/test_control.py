"""Control flow and functions: read, run, written again, and held against ONNX Runtime."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.interpreter import run
from mmconvert.ir import ops
from mmconvert.ir.check import check
from mmconvert.ir.graph import Graph
from mmconvert.parsers.onnx import load
from mmconvert.runtimes.onnxruntime import Session
from tests.emitters.onnx.files import execute, write


def model(text: str, opset: int = 17) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}, "my" : 1]>\n{text}')


def agree(proto: onnx.ModelProto, folder: Path, **feeds: np.ndarray) -> Graph:
    """The graph; it and the file written from it compute what ONNX Runtime does with ``proto``."""
    path = folder / "source.onnx"
    path.write_bytes(proto.SerializeToString())
    wanted = Session(path).run(feeds)
    graph = load(path).graph
    check(graph)
    again = folder / "again"
    again.mkdir(exist_ok=True)
    found = {"interpreter": run(graph, feeds), "written": execute(write(load(path).graph, again), feeds)}
    for who, outputs in found.items():
        for name, array in wanted.items():
            if array.size == 0:  # what ONNX Runtime collects in no round has no extents
                assert outputs[name].size == 0
                continue
            np.testing.assert_allclose(outputs[name], array, rtol=1e-5, err_msg=who)
            assert outputs[name].dtype == array.dtype
    return graph


X = np.linspace(-1, 2, 6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize("flag", [True, False])
def test_branches_read_values_around_them(flag: bool, tmp_path: Path) -> None:
    proto = model("""
        m (float[n,3] x, bool c) => (float[n,3] y) {
            w = Constant <value = float[3] {1, 2, 3}> ()
            z = Neg(x)
            y = If(c) <then_branch = t () => (float[n,3] a) { a = Add(z, w) },
                       else_branch = e () => (float[n,3] b) { s = Mul(x, x) b = Mul(s, z) }>
        }""")
    graph = agree(proto, tmp_path, x=X, c=np.array(flag))
    (node,) = (n for n in graph if isinstance(n.op, ops.If))
    assert len(node.inputs) == 3


def test_a_name_from_two_graphs_further_out(tmp_path: Path) -> None:
    proto = model("""
        m (float[n,3] x, bool c, bool d) => (float[n,3] y) {
            y = If(c) <then_branch = t () => (float[n,3] a) {
                a = If(d) <then_branch = tt () => (float[n,3] aa) { aa = Exp(x) },
                           else_branch = te () => (float[n,3] ab) { ab = Neg(x) }>
            }, else_branch = e () => (float[n,3] b) { b = Abs(x) }>
        }""")
    for c, d in ((True, True), (True, False), (False, True)):
        agree(proto, tmp_path, x=X, c=np.array(c), d=np.array(d))


@pytest.mark.parametrize("flag", [True, False])
def test_branches_of_different_extents(flag: bool, tmp_path: Path) -> None:
    proto = model("""
        m (float[n,3] x, bool c) => (float[k,3] y) {
            one = Constant <value = int64[1] {1}> ()
            zero = Constant <value = int64[1] {0}> ()
            z = If(c) <then_branch = t () => (float[p,3] a) { a = Concat <axis = 0> (x, x) },
                       else_branch = e () => (float[1,3] b) { b = Slice(x, zero, one, zero) }>
            y = Relu(z)
        }""")
    graph = agree(proto, tmp_path, x=X, c=np.array(flag))
    assert not graph.outputs[0].type.is_static


def test_a_branch_that_is_decided_is_taken(tmp_path: Path) -> None:
    proto = model("""
        m (float[2,3] x) => (float[2,3] y) {
            s = Shape(x)
            r = Size(s)
            two = Constant <value = int64 {2}> ()
            c = Equal(r, two)
            y = If(c) <then_branch = t () => (float[2,3] a) { a = Exp(x) },
                       else_branch = e () => (float[6] b) { b = my.Unheard(x) }>
        }""")
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    assert [n.op.name for n in load(path).graph] == ["Exp"]


LOOP = """
    m (float[n] x, int64 count, bool c) => (float[n] last, float[r,n] all, float[k] grown) {
        last, grown, all = Loop(count, c, x, x) <body = b
            (int64 i, bool go, float[n] v, float[p] g) => (bool next, float[n] w, float[q] h, float[n] out) {
                number = Cast <to = 1> (i)
                w = Add(v, x)
                h = Concat <axis = 0> (g, x)
                out = Mul(w, number)
                limit = Constant <value = int64 {3}> ()
                next = Less(i, limit)
            }>
    }"""


@pytest.mark.parametrize(("count", "go"), [(2, True), (9, True), (0, True), (5, False)])
def test_a_loop_carries_collects_and_stops(count: int, go: bool, tmp_path: Path) -> None:
    feeds = {"x": X.reshape(-1), "count": np.array(count, np.int64), "c": np.array(go)}
    agree(model(LOOP), tmp_path, **feeds)


def test_a_loop_of_known_length_has_results_of_known_extents(tmp_path: Path) -> None:
    proto = model("""
        m (float[n,3] x) => (float[5,n,3] y) {
            count = Constant <value = int64 {5}> ()
            yes = Constant <value = bool {1}> ()
            _last, y = Loop(count, yes, x) <body = b
                (int64 i, bool go, float[n,3] v) => (bool next, float[n,3] w, float[n,3] u) {
                    next = Identity(go) w = Add(v, v) u = Neg(v)
                }>
        }""")
    graph = agree(proto, tmp_path, x=X)
    assert str(graph.outputs[0].type) == "f32[5,n,3]"


def test_a_loop_slices_by_its_counter(tmp_path: Path) -> None:
    proto = model("""
        m (float[6] x) => (float[k] y) {
            count = Constant <value = int64 {3}> ()
            yes = Constant <value = bool {1}> ()
            empty = Constant <value = float[1] {0}> ()
            y = Loop(count, yes, empty) <body = b
                (int64 i, bool go, float[p] v) => (bool next, float[q] w) {
                    next = Identity(go)
                    axis = Constant <value = int64[1] {0}> ()
                    one = Constant <value = int64[1] {1}> ()
                    start = Unsqueeze(i, axis)
                    end = Add(start, one)
                    end_2 = Add(end, one)
                    part = Slice(x, start, end_2, axis)
                    w = Concat <axis = 0> (v, part)
                }>
        }""")
    agree(proto, tmp_path, x=X.reshape(-1))


def test_a_scan_cuts_along_axes_and_directions(tmp_path: Path) -> None:
    proto = model("""
        m (float[n] start, float[n,t] xs, float[t,n] zs) => (float[n] last, float[n,t] ys) {
            factor = Exp(start)
            last, ys = Scan(start, xs, zs) <num_scan_inputs = 2, scan_input_axes = [1, 0],
                scan_input_directions = [1, 0], scan_output_axes = [1], scan_output_directions = [1],
                body = b (float[n] s, float[n] x, float[n] z) => (float[n] u, float[n] y) {
                    a = Add(s, x) u = Mul(a, z) y = Sub(u, factor)
                }>
        }""")
    feeds = {"start": np.ones(2, np.float32), "xs": X, "zs": X.T.copy() + 1}
    graph = agree(proto, tmp_path, **feeds)
    assert str(graph.outputs[1].type) == "f32[n,t]"


@pytest.mark.parametrize("lengths", [(4, 4, 4), (4, 1, 3), (1, 2, 4)])
@pytest.mark.parametrize("reverse", [0, 1])
def test_an_old_scan_over_sequences_of_their_own_lengths(
    lengths: tuple[int, ...], reverse: int, tmp_path: Path
) -> None:
    proto = model(
        """
        m (int64[n] lengths, float[n,2] start, float[n,t,2] xs) => (float[n,2] last, float[n,t,2] ys) {
            last, ys = Scan(lengths, start, xs) <num_scan_inputs = 1, directions = [REVERSE],
                body = b (float[2] s, float[2] x) => (float[2] u, float[2] y) {
                    u = Add(s, x) half = Constant <value = float {0.5}> () y = Mul(u, half)
                }>
        }""".replace("REVERSE", str(reverse)),
        opset=8,
    )
    feeds = {"lengths": np.array(lengths), "start": np.ones((3, 2), np.float32)}
    agree(proto, tmp_path, **feeds, xs=np.arange(24, dtype=np.float32).reshape(3, 4, 2))


def test_branches_of_other_ranks_need_a_condition_that_is_known(tmp_path: Path) -> None:
    """What PyTorch exports for ``x.squeeze(1)`` where the extent is unknown."""
    proto = model("""
        m (float[2,n] x) => (float[k] y) {
            shape = Shape(x) at = Constant <value = int64 {1}> ()
            extent = Gather(shape, at) one = Constant <value = int64 {1}> ()
            single = Equal(extent, one)
            z = If (single) <
                then_branch = t () => (float[p] a) {
                    axis = Constant <value = int64[1] {1}> () a = Squeeze(x, axis)
                },
                else_branch = s () => (float[q,r] b) { b = Identity(x) }
            >
            y = Neg(z)
        }""")
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(UnsupportedError, match=r"its branches give f32\[2\] and f32\[2,n\]") as caught:
        load(path)
    assert "shapes=" in caught.value.problems[0].hint
    for count, shape in ((1, (2,)), (3, (2, 3))):
        graph = load(path, shapes={"x": (None, count)}).graph
        (found,) = run(graph, {"x": np.ones((2, count), np.float32)}).values()
        np.testing.assert_array_equal(found, -np.ones(shape, np.float32))


def test_large_weights_of_branches_stay_in_the_file(tmp_path: Path) -> None:
    """Two branches with weights of one name, and a branch in a branch."""
    size = 1 << 21
    weights = [np.full(size, value, np.float32) for value in (1, 2, 3)]

    def branch(weight: np.ndarray, *nodes: onnx.NodeProto, result: str = "w") -> onnx.GraphProto:
        output = helper.make_tensor_value_info(result, onnx.TensorProto.FLOAT, [size])
        return helper.make_graph(nodes, "g", [], [output], [numpy_helper.from_array(weight, "w")])

    inner = helper.make_node(
        "If", ["second"], ["v"], then_branch=branch(weights[1]), else_branch=branch(weights[2])
    )
    node = helper.make_node(
        "If",
        ["first"],
        ["y"],
        then_branch=branch(weights[0]),
        else_branch=branch(weights[0][:1], inner, result="v"),
    )
    inputs = [helper.make_tensor_value_info(n, onnx.TensorProto.BOOL, []) for n in ("first", "second")]
    output = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [size])
    graph = helper.make_graph([node], "g", inputs, [output])
    path = tmp_path / "m.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()
    )
    tracemalloc.start()
    read = load(path).graph
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < size
    for first, second, value in ((True, False, 1), (False, True, 2), (False, False, 3)):
        (found,) = run(read, {"first": np.array(first), "second": np.array(second)}).values()
        np.testing.assert_array_equal(found, weights[value - 1])


def test_bounds_that_only_the_run_tells(tmp_path: Path) -> None:
    proto = model("""
        m (float[n,4] x, int64[1] from, int64[1] to, int64[2] shape) => (float[a,b] y, float[c,d] z) {
            axis = Constant <value = int64[1] {1}> ()
            y = Slice(x, from, to, axis)
            z = Reshape(x, shape)
        }""")
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    for start, end, shape in ((1, 3, (6, 2)), (-3, 99, (-1, 3)), (3, 1, (0, -1)), (-99, -1, (2, -1))):
        bounds = {"from": np.array([start]), "to": np.array([end]), "shape": np.array(shape)}
        agree(proto, tmp_path, x=x, **bounds)


def test_functions_of_the_file_are_inlined(tmp_path: Path) -> None:
    proto = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 17, "my" : 1]>
        m (float[2,3] x) => (float[2,3] y, float[2,3] z) {
            y = my.Twice <slope = 0.5> (x)
            z = my.Maybe(x)
        }
        <domain: "my", opset_import: ["" : 17, "my" : 1]>
        Twice <slope> (v) => (w) {
            a = my.Once <alpha: float = @slope> (v)
            w = my.Once <alpha: float = @slope> (a)
        }
        <domain: "my", opset_import: ["" : 17]>
        Once <alpha> (v) => (w) { l = LeakyRelu <alpha: float = @alpha> (v) w = Neg(l) }
        <domain: "my", opset_import: ["" : 17]>
        Maybe (v, low) => (w) { w = Clip(v, low) }
        """)
    graph = agree(proto, tmp_path, x=X)
    assert [n.op.name for n in graph] == ["LeakyRelu", "Neg", "LeakyRelu", "Neg", "Clip"]


def test_functions_that_call_each_other_in_a_circle(tmp_path: Path) -> None:
    proto = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 17, "my" : 1]>
        m (float[2,3] x) => (float[2,3] y) { y = my.A(x) }
        <domain: "my", opset_import: ["my" : 1]> A (v) => (w) { w = my.B(v) }
        <domain: "my", opset_import: ["my" : 1]> B (v) => (w) { w = my.A(v) }
        """)
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(InvalidModelError, match=r"the function my\.A calls itself"):
        load(path)


def test_what_is_unsupported_inside_is_reported(tmp_path: Path) -> None:
    proto = model("""
        m (float[2,3] x, bool c) => (float[2,3] y) {
            y = If(c) <then_branch = t () => (float[2,3] a) { a = my.Unheard(x) },
                       else_branch = e () => (float[2,3] b) { b = my.Unseen(x) }>
        }""")
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(UnsupportedError, match=r"operator my\.Unheard at Unheard 'a'") as caught:
        load(path)
    assert len(caught.value.problems) >= 1


def test_sparse_tensors_become_dense(tmp_path: Path) -> None:
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(np.array([5.0, 7.0], np.float32), "w"),
        numpy_helper.from_array(np.array([[0, 1], [1, 2]])),
        [2, 3],
    )
    proto = model("m (float[2,3] x) => (float[2,3] y) { s = Add(x, w) y = Mul(s, v) }")
    proto.graph.sparse_initializer.append(sparse)
    proto.graph.node.insert(0, helper.make_node("Constant", [], ["v"], sparse_value=sparse))
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    w = np.array([[0, 5, 0], [0, 0, 7]], np.float32)
    np.testing.assert_allclose(run(load(path).graph, {"x": X})["y"], (X + w) * w)


@pytest.mark.parametrize("indices", [[6], [-1]])
def test_sparse_tensors_with_indices_outside(indices: list[int], tmp_path: Path) -> None:
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(np.ones(1, np.float32), "w"), numpy_helper.from_array(np.array(indices)), [6]
    )
    proto = model("m (float[6] x) => (float[6] y) { y = Add(x, w) }")
    proto.graph.sparse_initializer.append(sparse)
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(InvalidModelError, match="its indices do not fit"):
        load(path)


SQUEEZED = """
    m (float[n,t] x, float[2,3] w) => (float[p,3] y) {
        s = Shape(x)
        at = Constant <value = int64 {1}> ()
        one = Constant <value = int64[1] {1}> ()
        e = Gather <axis = 0> (s, at)
        c = Equal(e, one)
        z = If(c) <then_branch = a () => (float[n] u) { u = Squeeze(x, one) },
                   else_branch = b () => (float[n,t] v) { v = Identity(x) }>
        LAST
    }"""


def test_a_branch_with_another_rank_that_the_rest_cannot_take(tmp_path: Path) -> None:
    """What follows needs a matrix, so the axis is never dropped; or a vector, so it always is."""
    matrix = model(SQUEEZED.replace("LAST", "y = Gemm(z, w)"))
    graph = agree(matrix, tmp_path, x=X[:, :2], w=X)
    assert [n.op.name for n in graph] == ["Identity", "Gemm"]
    last = "q = Unsqueeze(z, one) k = Concat <axis = 1> (q, q) y = Gemm(k, w)"
    vector = model(SQUEEZED.replace("LAST", last))
    agree(vector, tmp_path, x=X[:, :1], w=X)
    module = load(tmp_path / "source.onnx")
    assert next(iter(module.graph)).op.name == "Squeeze"
    (warning,) = module.warnings
    assert "is read as if its condition were true" in warning


def test_branches_of_other_ranks_that_could_be_either(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(model(SQUEEZED.replace("LAST", "y = Relu(z)")).SerializeToString())
    with pytest.raises(UnsupportedError, match="differ in rank"):
        load(tmp_path / "m.onnx")


def test_many_ranks_to_decide_end_in_an_error(tmp_path: Path) -> None:
    """The file is read a bounded number of times, however many conditions there are."""
    again = "".join(
        f"z{i} = If(c) <then_branch = a{i} () => (float[n] u{i}) {{ u{i} = Squeeze(x, one) }},"
        f" else_branch = b{i} () => (float[n,t] v{i}) {{ v{i} = Identity(x) }}> "
        for i in range(40)
    )
    names = ", ".join(f"z{i}" for i in range(40))
    text = SQUEEZED.replace("LAST", f"{again} k = Sum({names}) y = Gemm(k, w)")
    (tmp_path / "m.onnx").write_bytes(model(text).SerializeToString())
    with pytest.raises(UnsupportedError, match="differ in rank"):
        load(tmp_path / "m.onnx")
