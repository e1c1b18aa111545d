"""Control flow, and state that is kept between runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmconvert.errors import InvalidModelError, UnsupportedError
from tests.parsers.tflite.files import Graph, Op, Tensor, build, check, feeds_for, load

VECTOR = Tensor((3,))
ONE = Tensor.of(np.ones(3, np.float32))
FLAG = Tensor((), "bool")


def binary(name: str, inputs: list[int], output: int) -> Op:
    return Op(name, inputs, [output], {}, f"{name.capitalize()}Options")


def unary_graph(name: str) -> Graph:
    return Graph([VECTOR, ONE, VECTOR], [binary(name, [0, 1], 2)], [0], [2])


def branching(*, constant: bool = False) -> bytes:
    flag = Tensor.of(np.array(True)) if constant else FLAG
    options = {"thenSubgraphIndex": 1, "elseSubgraphIndex": 2}
    main = Graph(
        [flag, VECTOR, VECTOR],
        [Op("IF", [0, 1], [2], options, "IfOptions")],
        [1] if constant else [0, 1],
        [2],
    )
    return build(main, unary_graph("ADD"), unary_graph("MUL"))


@pytest.mark.parametrize("constant", [False, True])
def test_if(constant: bool, tmp_path: Path) -> None:
    module = check(branching(constant=constant), tmp_path, steps=4)
    assert [node.op.name for node in module.graph] == (["Add"] if constant else ["If"])


def counting() -> bytes:
    limit = Tensor.of(np.array(5, np.int32))
    one = Tensor.of(np.array(1, np.int32))
    counter, number = Tensor((), "int32"), Tensor((), "bool")
    condition = Graph([counter, VECTOR, limit, number], [Op("LESS", [0, 2], [3])], [0, 1], [3])
    body = Graph(
        [counter, VECTOR, one, counter, VECTOR],
        [binary("ADD", [0, 2], 3), binary("ADD", [1, 1], 4)],
        [0, 1],
        [3, 4],
    )
    options = {"condSubgraphIndex": 1, "bodySubgraphIndex": 2}
    start = Tensor.of(np.array(0, np.int32))
    main = Graph(
        [start, VECTOR, counter, VECTOR], [Op("WHILE", [0, 1], [2, 3], options, "WhileOptions")], [1], [2, 3]
    )
    return build(main, condition, body)


def test_while(tmp_path: Path) -> None:
    check(counting(), tmp_path)


def variables(initial: np.ndarray | None = None, **quantized: object) -> bytes:
    """What was there last time, plus what comes in, is kept and given out."""
    dtype = "int8" if quantized else "float32"
    held = Tensor((3,), dtype, **quantized)
    handle = Tensor((), "resource")
    start = Tensor.of(np.zeros(3, dtype) if initial is None else initial, **quantized)
    name = {"container": "", "sharedName": "counter"}
    once = Graph(
        [handle, start],
        [Op("VAR_HANDLE", [], [0], name, "VarHandleOptions"), Op("ASSIGN_VARIABLE", [0, 1], [])],
        [],
        [],
    )
    main = Graph(
        [held, handle, held, held],
        [
            Op("CALL_ONCE", [], [], {"initSubgraphIndex": 1}, "CallOnceOptions"),
            Op("VAR_HANDLE", [], [1], name, "VarHandleOptions"),
            Op("READ_VARIABLE", [1], [2]),
            Op("ADD", [2, 0], [3], {}, "AddOptions", 2),
            Op("ASSIGN_VARIABLE", [1, 3], []),
        ],
        [0],
        [3],
    )
    return build(main, once)


def test_variables_are_inputs_and_outputs(tmp_path: Path) -> None:
    initial = np.array([1, 2, 3], np.float32)
    module = check(variables(initial), tmp_path, steps=4)
    (state,) = module.states
    assert (state.input, state.output) == ("counter", "counter_next")
    np.testing.assert_array_equal(state.initial.numpy(), initial)
    assert "counter -> counter_next" in module.warnings[0]


def test_variables_of_integers_stay_integers(tmp_path: Path) -> None:
    module = check(variables(scale=0.5, zero=3), tmp_path, steps=4)
    assert {str(v.type) for v in module.graph.inputs} == {"i8[3]"}


def test_variables_in_a_branch_are_refused(tmp_path: Path) -> None:
    handle = Tensor((), "resource")
    name = {"container": "", "sharedName": "counter"}
    reading = Graph(
        [VECTOR, handle, VECTOR],
        [Op("VAR_HANDLE", [], [1], name, "VarHandleOptions"), Op("READ_VARIABLE", [1], [2])],
        [0],
        [2],
    )
    options = {"thenSubgraphIndex": 1, "elseSubgraphIndex": 2}
    main = Graph([FLAG, VECTOR, VECTOR], [Op("IF", [0, 1], [2], options, "IfOptions")], [0, 1], [2])
    with pytest.raises(UnsupportedError, match="state inside of a branch or a loop"):
        load(build(main, reading, unary_graph("ADD")), tmp_path)


def test_a_graph_that_calls_itself_is_invalid(tmp_path: Path) -> None:
    options = {"thenSubgraphIndex": 0, "elseSubgraphIndex": 0}
    main = Graph([FLAG, VECTOR, VECTOR], [Op("IF", [0, 1], [2], options, "IfOptions")], [0, 1], [2])
    with pytest.raises(InvalidModelError, match="calls itself"):
        load(build(main), tmp_path)


def test_calls_that_grow_beyond_all_bounds_are_invalid(tmp_path: Path) -> None:
    """Each graph calls the next one ten times: a million million operators in a small file."""
    chain = [
        Graph(
            [VECTOR] * 11,
            [Op("CALL", [i], [i + 1], {"subgraph": level + 1}, "CallOptions") for i in range(10)],
            [0],
            [10],
        )
        for level in range(12)
    ]
    with pytest.raises(InvalidModelError, match="repeat more than"):
        load(build(*chain, unary_graph("ADD")), tmp_path)


def test_call_is_written_in_place(tmp_path: Path) -> None:
    main = Graph([VECTOR, VECTOR], [Op("CALL", [0], [1], {"subgraph": 1}, "CallOptions")], [0], [1])
    module = load(build(main, unary_graph("MUL")), tmp_path)
    assert [node.op.name for node in module.graph] == ["Mul"]
    assert feeds_for(module).keys() == {"t0"}
