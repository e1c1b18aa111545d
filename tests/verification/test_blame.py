"""Each stage is judged against the one before it."""

from __future__ import annotations

from collections.abc import Callable

from mmconvert.errors import InvalidModelError
from mmconvert.ir.copy import copy_graph
from mmconvert.ir.graph import Graph
from mmconvert.ir.types import Array
from mmconvert.passes import pipeline
from mmconvert.passes.outcome import Outcome
from mmconvert.verification.blame import Chain, find_faults
from mmconvert.verification.inputs import generate
from mmconvert.verification.judge import judge, observe
from mmconvert.verification.sides import Side
from mmconvert.verification.verdict import Verdict
from tests.verification.graphs import MLP, altered, graph_of

WRONG = MLP.replace("axis=1", "axis=0")


def break_it(graph: Graph) -> Outcome:
    """A pass that takes the wrong axis."""
    graph.adopt(graph_of(WRONG))
    return Outcome(1)


def found(
    target: Side,
    written: Graph | Callable[[], Graph] | None,
    *,
    witness: Side | None = None,
    passes: tuple[Callable[[Graph], Outcome], ...] = (),
) -> Verdict:
    graph = graph_of(MLP)
    feeds = generate(graph)
    verdict = judge(observe(graph, feeds, witness), target)

    def lower(lowered: Graph, watch: pipeline.Watch) -> None:
        pipeline.run(lowered, passes, watch)

    lowered = copy_graph(graph)
    pipeline.run(lowered, passes)
    read = (lambda: written) if isinstance(written, Graph) else written
    find_faults(verdict, Chain(graph, target, read, witness, graph, lower, lowered), feeds, 4)
    return verdict


def test_nobody() -> None:
    verdict = found(altered(graph_of(MLP)), graph_of(MLP))
    assert (verdict.culprit, verdict.faults) == ("none", [])


def test_the_parser() -> None:
    """The source's own framework computes something else, and the target what was read."""
    verdict = found(altered(graph_of(MLP)), graph_of(MLP), witness=altered(graph_of(WRONG)))
    assert verdict.culprit == "parser"
    assert [(f.operator, f.diagnosis) for f in verdict.faults] == [("Softmax", "matches with axis=0")]


def test_a_pass() -> None:
    verdict = found(altered(graph_of(WRONG)), graph_of(WRONG), passes=(break_it,))
    assert [(f.stage, f.agent, f.operator) for f in verdict.faults] == [("pass", "break_it", "Softmax")]
    assert str(verdict.faults[0]).startswith(
        "the pass break_it changes what is computed: Softmax at Softmax 'out'"
    )


def test_the_emitter() -> None:
    verdict = found(altered(graph_of(WRONG)), graph_of(WRONG))
    assert [(f.stage, f.operator) for f in verdict.faults] == [("emitter", "Softmax")]


def test_the_runtime() -> None:
    verdict = found(altered(graph_of(WRONG)), graph_of(MLP))
    assert [(f.stage, f.agent, f.operator) for f in verdict.faults] == [("runtime", "a test", "Softmax")]


def test_a_pass_and_the_runtime() -> None:
    def negated(outputs: dict[str, Array]) -> dict[str, Array]:
        return {name: -array for name, array in outputs.items()}

    verdict = found(altered(graph_of(WRONG), negated), graph_of(WRONG), passes=(break_it,))
    assert [f.stage for f in verdict.faults] == ["pass", "runtime"]


def test_a_file_that_cannot_be_read_back() -> None:
    def refuse() -> Graph:
        raise InvalidModelError("broken", where="a.onnx")

    verdict = found(altered(graph_of(WRONG)), refuse)
    assert [(f.stage, f.place) for f in verdict.faults] == [("emitter", "a.onnx")]
    assert "the file cannot be read back: broken" in verdict.notes


def test_a_format_without_a_reader() -> None:
    verdict = found(altered(graph_of(WRONG)), None)
    assert [(f.stage, f.operator) for f in verdict.faults] == [("unknown", "Softmax")]


def test_a_runtime_that_refuses_the_file() -> None:
    def fail(outputs: dict[str, Array]) -> dict[str, Array]:
        raise InvalidModelError("no such kernel")

    verdict = found(altered(graph_of(MLP), fail), graph_of(MLP))
    assert [f.stage for f in verdict.faults] == ["emitter"]


def test_json_says_who() -> None:
    document = found(altered(graph_of(WRONG)), graph_of(WRONG)).to_json()
    assert document["culprit"] == "emitter"
    assert document["faults"][0]["diagnosis"] == "matches with axis=0"
    assert {layer["place"] for layer in document["layers"]} >= {"Dense 'first'", "Softmax 'out'"}
