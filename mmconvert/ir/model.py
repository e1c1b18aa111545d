"""A model: its graph and what is known about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mmconvert.ir.graph import Graph
from mmconvert.tensors import Array, Tensor


@dataclass(slots=True)
class Metadata:
    """What a file says about itself, kept from source to target where the formats allow.

    Attributes:
        format: the source format's name, ``"onnx"``.
        producer: the program that wrote the source, with its version.
        opset: the source's operator set, 0 when it has none.
        labels: class labels, empty when unknown.
        properties: free key-value pairs of the file. ``input_<i>.mean`` and ``input_<i>.std`` say how an
            input is normalized, ``(x - mean) / std``, with one number or one for each channel, and
            ``input_<i>.color`` whether it is "rgb" or "grayscale". ``name``, ``description``, ``version``,
            ``author`` and ``license`` are those of the model.
        files: what came with the model, by name: a TFLite model's metadata (``TFLITE_METADATA``) and the
            files that it refers to. They go into a file of the same format as they are.
    """

    format: str = ""
    producer: str = ""
    opset: int = 0
    labels: tuple[str, ...] = ()
    properties: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def relabelled(self, labels: tuple[str, ...]) -> Metadata:
        """The same with other class labels, and without what the file had to say about the old ones."""
        kept = {key: text for key, text in self.properties.items() if key not in ("labels", "names")}
        return replace(self, labels=labels, properties=kept, files={})


@dataclass(frozen=True, slots=True)
class State:
    """Something that the source keeps from one run to the next.

    Attributes:
        input: the name of the input that takes it.
        output: the name of the output that gives it back.
        initial: what it is before the first run.
    """

    input: str
    output: str
    initial: Tensor


@dataclass(frozen=True, slots=True)
class Example:
    """What a model computes from some inputs, for the test of a target that comes with one.

    Attributes:
        inputs: arrays by name.
        outputs: the float64 run of the source, in the types of the outputs.
        budgets: the error that each output may have: the largest difference over the largest magnitude, and
            the relative L2 norm.
    """

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    budgets: Mapping[str, tuple[float, float]]


@dataclass
class Module:
    """A model.

    Attributes:
        graph: what it computes.
        metadata: what its file says about it.
        warnings: what reading it gave rise to.
        states: what it keeps from one run to the next, as inputs and outputs of ``graph``.
        signature: the name under which ``graph`` is called, where its file has one for it.
        signatures: other graphs of the same file, by the names under which they are called.
        examples: what ``graph`` computes, for a target that wants to know.
    """

    graph: Graph
    metadata: Metadata = field(default_factory=Metadata)
    warnings: list[str] = field(default_factory=list)
    states: tuple[State, ...] = ()
    signature: str = ""
    signatures: dict[str, Graph] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
