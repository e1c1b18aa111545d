"""A model: its graph and what is known about it."""

from __future__ import annotations

from dataclasses import dataclass, field

from mmconvert.ir.graph import Graph


@dataclass(slots=True)
class Metadata:
    """What a file says about itself, kept from source to target where the formats allow.

    Attributes:
        format: the source format's name, ``"onnx"``.
        producer: the program that wrote the source, with its version.
        opset: the source's operator set, 0 when it has none.
        labels: class labels, empty when unknown.
        properties: free key-value pairs of the file.
    """

    format: str = ""
    producer: str = ""
    opset: int = 0
    labels: tuple[str, ...] = ()
    properties: dict[str, str] = field(default_factory=dict)


@dataclass
class Module:
    """A graph with its metadata and the warnings that reading it gave rise to."""

    graph: Graph
    metadata: Metadata = field(default_factory=Metadata)
    warnings: list[str] = field(default_factory=list)
