"""Verdicts on targets that are right, wrong in one way each, broken, or not to be judged at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import chain, repeat

import numpy as np
import pytest

from mmconvert.errors import InvalidModelError, MMConvertError, UnsupportedError, UsageError
from mmconvert.ir.graph import Graph
from mmconvert.ir.types import Array
from mmconvert.verification.inputs import generate
from mmconvert.verification.judge import Reference, judge, observe
from mmconvert.verification.sides import IoPermutations, Side, interpreted
from mmconvert.verification.verdict import Verdict
from tests.verification.graphs import MLP, altered, graph_of

Change = Callable[[Array], Array]

TWO_INPUTS = """
    graph "two"(a: f32[2,3], b: f32[2,3]) -> (y: f32[2,3], z: f32[2,3])
      %1 = Sub(a, b)
      %2 = Mul(a, b)
      return %1, %2
"""


def verdict_on(graph: Graph, target: Side, witness: Side | None = None) -> Verdict:
    return judge(observe(graph, generate(graph), witness), target)


def changed(graph: Graph, change: Change) -> Side:
    return altered(graph, lambda outputs: {n: change(a) for n, a in outputs.items()})


LOGITS = """
    graph "logits"(x: f32[n,8]) -> (y: f32[n,4])
      %w0: f32[8,4] = weight "w0"
      %1 = MatMul(x, %w0)
      return %1
"""


# --- verdicts ----------------------------------------------------------------------------------------------


def test_the_same_function() -> None:
    graph = graph_of(MLP)
    verdict = verdict_on(graph, altered(graph))
    assert verdict.passed
    assert verdict.summary == "equivalent (executed)"
    assert (verdict.inputs, verdict.source, verdict.runtime) == (2, "interpreter (float32)", "a test")
    (output,) = verdict.outputs
    assert output.error == output.source_error
    assert 0 < output.error.maximum < output.budget.maximum < 1e-5
    assert not verdict.notes


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda y: np.roll(y, 1, axis=1), id="shift by one"),
        pytest.param(lambda y: y[:, [1, 0, 2, 3]], id="two classes swapped"),
        pytest.param(lambda y: y.T, id="transposed"),
        pytest.param(lambda y: y[:, :3], id="truncated"),
        pytest.param(lambda y: y + np.float32(1e-5), id="wrong bias"),
        pytest.param(lambda y: np.where(y == y.max(), np.float32(np.nan), y), id="one NaN"),
        pytest.param(lambda y: y.astype(np.float16), id="half precision"),
        pytest.param(lambda y: np.zeros_like(y), id="zeros"),
        pytest.param(lambda y: np.round(100 * y).astype(np.int32), id="integers"),
    ],
)
def test_wrong_targets(change: Change) -> None:
    graph = graph_of(MLP)
    verdict = verdict_on(graph, changed(graph, change))
    assert not verdict.passed
    assert verdict.summary == "NOT equivalent (executed)"
    assert not verdict.outputs[0].passed


def test_wrong_on_the_second_input_alone() -> None:
    """A batch that was frozen by mistake computes the first row and repeats it."""
    graph = graph_of(MLP)
    verdict = verdict_on(graph, changed(graph, lambda y: np.repeat(y[:1], len(y), axis=0)))
    assert not verdict.passed


def test_one_wrong_output_of_two() -> None:
    graph = graph_of(TWO_INPUTS)
    verdict = verdict_on(graph, altered(graph, lambda o: {"y": o["y"], "z": o["z"] + np.float32(0.1)}))
    assert [(o.name, o.passed) for o in verdict.outputs] == [("y", True), ("z", False)]
    assert not verdict.passed


def test_two_outputs_swapped() -> None:
    graph = graph_of(TWO_INPUTS)
    verdict = verdict_on(graph, altered(graph, lambda o: {"y": o["z"], "z": o["y"]}))
    assert not verdict.passed
    assert verdict.first_divergence is None  # every value is there: it is the names that are wrong


def test_k_is_the_users() -> None:
    graph = graph_of(LOGITS)
    reference = observe(graph, generate(graph))
    off = changed(graph, lambda y: y * np.float32(1 + 1e-4))
    assert not judge(reference, off).passed
    assert judge(reference, off, k=1e4).passed


def test_the_largest_error_of_the_source_counts_for_every_input() -> None:
    graph = graph_of(MLP)
    reference = observe(graph, generate(graph))
    lucky, ordinary = reference.observations
    exact = {name: array.astype(np.float32) for name, array in lucky.truth.items()}
    reference.observations[:] = [replace(lucky, own=exact), ordinary]
    (alone,) = judge(Reference(graph, "", [replace(lucky, own=exact)], []), altered(graph)).outputs
    (together,) = judge(reference, altered(graph)).outputs
    assert together.source_error.maximum > alone.source_error.maximum
    assert together.budget.maximum > alone.budget.maximum


def test_permuted_inputs_and_outputs() -> None:
    graph = graph_of(
        """
        graph "image"(x: f32[1,2,3,4]) -> (y: f32[1,2,3,4])
          %1 = Relu(x)
          return %1
        """
    )
    perm = (0, 2, 3, 1)

    class Moved:
        inputs = ["x"]

        def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
            assert inputs["x"].shape == (1, 3, 4, 2)
            return {"y": np.maximum(inputs["x"], 0)}

        def intermediates(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
            return self.run(inputs)

    moved = IoPermutations({"x": perm}, {"y": perm})
    assert verdict_on(graph, Side(Moved(), "moved", "executed", moved)).passed


# --- names -------------------------------------------------------------------------------------------------


def renamed(graph: Graph, inputs: dict[str, str], outputs: dict[str, str]) -> Side:
    target = altered(graph, lambda o: {outputs[n]: a for n, a in o.items()})
    inner = target.runnable

    class Renamed:
        def __init__(self) -> None:
            self.inputs = [inputs[n] for n in inner.inputs]

        def run(self, fed: Mapping[str, Array]) -> dict[str, Array]:
            return inner.run({n: fed[inputs[n]] for n in inner.inputs})

        def intermediates(self, fed: Mapping[str, Array]) -> dict[str, Array]:
            return self.run(fed)

    return Side(Renamed(), "renamed", "executed")


def test_other_names_are_matched_in_order() -> None:
    graph = graph_of(TWO_INPUTS)
    verdict = verdict_on(graph, renamed(graph, {"a": "in:0", "b": "in:1"}, {"y": "out:0", "z": "out:1"}))
    assert verdict.passed
    assert verdict.notes == [
        "inputs of renamed matched in order: a = in:0, b = in:1",
        "outputs of renamed matched in order: y = out:0, z = out:1",
    ]


def test_names_in_another_order_are_matched_by_name() -> None:
    graph = graph_of(TWO_INPUTS)
    verdict = verdict_on(graph, altered(graph, lambda o: {"z": o["z"], "y": o["y"]}))
    assert verdict.passed
    assert not verdict.notes


def test_another_number_of_outputs() -> None:
    graph = graph_of(TWO_INPUTS)
    verdict = verdict_on(graph, altered(graph, lambda o: {"y": o["y"]}))
    assert not verdict.passed
    assert verdict.failure == "the source has 2 outputs (y, z), and a test has 1 (y)"


# --- targets that do not run -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [InvalidModelError("broken"), UnsupportedError("no kernel"), UsageError("not of shape [2, 8]")]
)
def test_a_target_that_fails(error: MMConvertError) -> None:
    def fail(outputs: dict[str, Array]) -> dict[str, Array]:
        raise error

    graph = graph_of(MLP)
    verdict = verdict_on(graph, altered(graph, fail))
    assert not verdict.passed
    assert verdict.summary == "NOT equivalent (executed)"
    assert verdict.failure == error.message


def test_a_target_that_fails_on_the_second_input() -> None:
    def only_one(outputs: dict[str, Array]) -> dict[str, Array]:
        if len(outputs["y"]) > 1:
            raise UsageError("the input 'x' is [1,8], not [2,8]")
        return outputs

    graph = graph_of(MLP)
    verdict = verdict_on(graph, altered(graph, only_one))
    assert verdict.outputs[0].passed
    assert not verdict.passed


@pytest.mark.parametrize("level", ["not executed", "structure only"])
def test_what_was_not_run_never_passes(level: str) -> None:
    verdict = Verdict(level)  # type: ignore[arg-type]
    assert not verdict.passed
    assert verdict.summary == f"not verified ({level})"


def test_nothing_compared_never_passes() -> None:
    assert not Verdict("executed").passed


# --- three-way ---------------------------------------------------------------------------------------------


def test_a_source_framework_that_agrees() -> None:
    graph = graph_of(MLP)
    verdict = verdict_on(graph, altered(graph), altered(graph))
    assert verdict.passed
    assert verdict.source == "a test"
    assert [o.passed for o in verdict.source_outputs] == [True]


def test_a_wrong_reading_does_not_pass_because_the_target_repeats_it() -> None:
    """The framework's distance from what was read must not become the target's budget."""
    graph = graph_of(MLP)
    verdict = verdict_on(graph, altered(graph), changed(graph, lambda y: np.roll(y, 1, axis=1)))
    assert verdict.outputs[0].passed
    assert not verdict.source_agrees
    assert not verdict.passed


def test_a_wrong_target_beside_a_wrong_reading() -> None:
    graph = graph_of(MLP)
    off = changed(graph, lambda y: np.roll(y, 1, axis=1))
    verdict = verdict_on(graph, off, off)
    assert not verdict.outputs[0].passed
    assert verdict.outputs[0].budget.maximum < 1e-5


def test_the_frameworks_own_error_counts_as_the_sources() -> None:
    graph = graph_of(LOGITS)
    rounded = changed(graph, lambda y: y * np.float32(1 + 1e-6))  # within the framework's own budget
    exact = verdict_on(graph, altered(graph)).outputs[0].budget
    assert verdict_on(graph, altered(graph), rounded).outputs[0].budget.maximum > exact.maximum + 2e-6


def test_inputs_that_the_framework_does_not_take_are_left_out() -> None:
    def only_one(outputs: dict[str, Array]) -> dict[str, Array]:
        if len(outputs["y"]) > 1:
            raise UsageError("no batch of 2")
        return outputs

    graph = graph_of(MLP)
    verdict = verdict_on(graph, altered(graph), altered(graph, only_one))
    assert verdict.passed
    assert verdict.inputs == 1
    assert verdict.notes == ["1 of 2 inputs were tried, the source does not take the others: no batch of 2"]


def test_a_framework_that_takes_none_of_the_inputs() -> None:
    def refuse(outputs: dict[str, Array]) -> dict[str, Array]:
        raise UsageError("no")

    graph = graph_of(MLP)
    with pytest.raises(UsageError, match="no"):
        observe(graph, generate(graph), altered(graph, refuse))


# --- what the numbers do not say ---------------------------------------------------------------------------


def test_an_output_that_does_not_depend_on_the_inputs() -> None:
    graph = graph_of(
        """
        graph "dead"(x: f32[n,8]) -> (y: f32[n,8], z: f32[n,8])
          %c0: f32[] = -100.0
          %1 = Add(x, %c0)
          %2 = Relu(%1)
          %3 = Relu(x)
          return %2, %3
        """
    )
    verdict = verdict_on(graph, altered(graph))
    assert verdict.passed
    assert [n.split(":")[0] for n in verdict.notes] == [
        "the output 'y' does not depend on the inputs that were tried"
    ]


def test_an_output_that_hardly_depends_on_the_inputs() -> None:
    """What moves by less than the budget cannot tell right from wrong."""
    graph = graph_of(
        """
        graph "faint"(x: f32[4]) -> (y: f32[4])
          %c0: f32[] = 1e-09
          %c1: f32[] = 1.0
          %1 = Mul(x, %c0)
          %2 = Add(%1, %c1)
          return %2
        """
    )
    assert "does not depend" in verdict_on(graph, altered(graph)).notes[0]


def test_one_input_tells_nothing_about_dependence() -> None:
    graph = graph_of(
        """
        graph "zero"(x: f32[4]) -> (y: f32[4])
          %1 = Sub(x, x)
          return %1
        """
    )
    assert not judge(observe(graph, generate(graph, count=1)), altered(graph)).notes


def test_outputs_that_are_nan() -> None:
    graph = graph_of(
        """
        graph "nan"(x: f32[4]) -> (y: f32[4])
          %1 = Sqrt(x)
          %c0: f32[] = nan
          %2 = Add(%1, %c0)
          return %2
        """
    )
    verdict = verdict_on(graph, altered(graph))
    assert verdict.passed
    assert verdict.notes == ["the output 'y' is NaN, infinite or empty throughout: nothing was compared"]


def test_an_ill_conditioned_model() -> None:
    graph = graph_of(
        """
        graph "cancel"(x: f32[4]) -> (y: f32[4])
          %c0: f32[] = 1e+06
          %1 = Add(x, %c0)
          %2 = Sub(%1, %c0)
          return %2
        """
    )
    verdict = verdict_on(graph, altered(graph))
    assert verdict.passed
    assert "the source's own arithmetic is off by" in verdict.notes[0]


# --- as data -----------------------------------------------------------------------------------------------


def test_json() -> None:
    graph = graph_of(MLP)
    document = verdict_on(graph, changed(graph, lambda y: y[:, :3])).to_json()
    assert document["passed"] is False
    assert document["level"] == "executed"
    (output,) = document["outputs"]
    assert output["error"] == {"maximum": "inf", "l2": "inf"}
    assert 0 < output["budget"]["maximum"] < 1e-5


def test_the_interpreter_as_a_side() -> None:
    graph = graph_of(MLP)
    side = interpreted(graph)
    (feed,) = generate(graph, count=1)
    inner = side.intermediates(feed)
    assert set(inner) == {"hidden", "act", "logits", "y"}
    np.testing.assert_array_equal(inner["y"], side.run(feed)["y"])


# --- saturation --------------------------------------------------------------------------------------------

CERTAIN = """
    graph "certain"(x: f32[1,3]) -> (y: f32[1,3])
      %c0: f32[3] = [40.0,0.0,-30.0]
      %1 = Add(x, %c0)
      %2 = Softmax(%1) {axis=1}
      %3 = Reshape(%2) {shape=(1,3)}
      return %3
"""


def test_a_wrong_bias_behind_certainty() -> None:
    """The outputs agree to 1e-13, and the bias of the last class is off by a quarter."""
    graph = graph_of(CERTAIN)
    assert verdict_on(graph, altered(graph)).passed
    verdict = verdict_on(graph, altered(graph_of(CERTAIN.replace("-30.0", "-30.25"))))
    assert not verdict.passed
    assert verdict.first_divergence is not None
    assert verdict.first_divergence.operator == "Add"


def test_probabilities_that_are_flushed_to_zero() -> None:
    graph = graph_of(CERTAIN.replace("-30.0", "-90.0"))
    flushed = changed(graph, lambda y: np.where(y < 1e-37, np.float32(0), y))
    assert verdict_on(graph, flushed).passed


def test_a_sigmoid_may_be_exact_to_roundings_of_one() -> None:
    graph = graph_of(CERTAIN.replace("Softmax(%1) {axis=1}", "Sigmoid(%1)"))
    assert verdict_on(graph, changed(graph, lambda y: np.maximum(y, np.float32(1e-8)))).passed


def test_a_sigmoid_that_is_tiny_throughout() -> None:
    """A detector that sees nothing: runtimes clamp, which says nothing about the graph, and that is said."""
    text = CERTAIN.replace("Softmax(%1) {axis=1}", "Sigmoid(%1)")
    graph = graph_of(text.replace("40.0,0.0", "-40.0,-50.0"))
    verdict = verdict_on(graph, changed(graph, lambda y: np.maximum(y, np.float32(1e-7))))
    assert verdict.passed
    assert any("is 0 up to what runtimes round a Sigmoid to" in note for note in verdict.notes)
    assert not verdict_on(graph, changed(graph, lambda y: np.maximum(y, np.float32(1e-6)))).passed


# --- grids of quantized numbers ----------------------------------------------------------------------------

GRID = """
    graph "grid"(x: f32[4,500]) -> (q: i8[500,4], y: f32[4,500])
      %s: f32[] = 0.0625
      %1 = Quantize(x, %s) {dtype=i8}
      %2 = Transpose(%1) {perm=(1,0)}
      %3 = Dequantize(%1, %s)
      return %2, %3
"""


def off(share: int, units: int) -> Callable[[dict[str, Array]], dict[str, Array]]:
    """One of ``share`` values is off by ``units``, in both outputs."""

    def change(outputs: dict[str, Array]) -> dict[str, Array]:
        steps = {"q": np.float32(1), "y": np.float32(1 / 16)}
        found = {}
        for name, array in outputs.items():
            found[name] = array.copy()
            found[name].reshape(-1)[::share] += (steps[name] * units).astype(array.dtype)
        return found

    return change


def test_one_unit_of_a_grid_is_how_runtimes_round() -> None:
    graph = graph_of(GRID)
    verdict = verdict_on(graph, altered(graph, off(2000, 1)))
    assert verdict.passed
    assert [o.moved for o in verdict.outputs] == [1 / 2000, 1 / 2000]
    assert "the output 'q' is quantized: 0.05% of its values are off by one unit" in verdict.notes[0]
    often = verdict_on(graph, altered(graph, off(100, 1)))
    assert often.passed
    assert "more than usual" in often.notes[0]
    assert not verdict_on(graph, altered(graph)).notes


def test_two_units_of_a_grid_are_not() -> None:
    graph = graph_of(GRID)
    verdict = verdict_on(graph, altered(graph, off(2000, 2)))
    assert [o.passed for o in verdict.outputs] == [False, False]


def test_one_unit_everywhere_is_a_wrong_zero_point() -> None:
    graph = graph_of(GRID)
    verdict = verdict_on(graph, altered(graph, off(1, 1)))
    assert [o.passed for o in verdict.outputs] == [False, False]
    assert "100.00% of its values are off by one unit: more than rounding explains" in verdict.notes[0]


def test_one_unit_everywhere_on_one_input_alone() -> None:
    graph = graph_of(GRID)
    changes = chain([off(2000, 1), off(1, 1)], repeat(off(2000, 1)))
    verdict = verdict_on(graph, altered(graph, lambda outputs: next(changes)(outputs)))
    assert [o.passed for o in verdict.outputs] == [False, False]
    assert [o.moved for o in verdict.outputs] == [1.0, 1.0]


def test_integers_that_nobody_quantized_have_to_be_equal() -> None:
    graph = graph_of(GRID.replace("Quantize(x, %s) {dtype=i8}", "Cast(x) {to=i8}"))
    assert not verdict_on(graph, altered(graph, off(2000, 1))).passed
