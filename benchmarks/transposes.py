"""Operators and Transposes of TFLite files made from ONNX models, against onnx2tf at the same interface.

python -m benchmarks.transposes [--only TEXT]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import mmconvert
from benchmarks import measure, operators, peers
from tests.models import zoo
from tests.models.build_sore import NETS
from tests.models.test_onnx import MODELS, path_of

TITLE = "ONNX to TFLite: operators and Transposes"
HEADER = [
    "model", "kept, ours", "kept, onnx2tf -k", "outputs turned", "NHWC, ours", "NHWC, onnx2tf", "no more",
]  # fmt: skip
NOTE = f"""\
Each cell is operators / Transposes. "Kept": inputs and outputs have the order of axes that the user's model \
gives them. onnx2tf keeps that of inputs when it is told their names (`-k`), and turns outputs nevertheless; \
each of these saves it one operator, a Transpose where more than axes of extent 1 move, and is allowed for. \
"NHWC": ours with `--io-layout target`, onnx2tf as it comes. "-": it fails, or leaves operators that LiteRT \
does not know. {peers.ONNX2TF}."""


@dataclass(frozen=True)
class Counts:
    """What is in a file, and what its outputs look like."""

    operators: int
    transposes: int
    outputs: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, path: Path) -> Counts:
        """Reads a TFLite file."""
        from tflite.Model import Model

        found = operators.of_tflite(path)
        graph = Model.GetRootAs(path.read_bytes(), 0).Subgraphs(0)
        outputs = [graph.Tensors(graph.Outputs(index)) for index in range(graph.OutputsLength())]
        shapes = tuple(tuple(t.Shape(i) for i in range(t.ShapeLength())) for t in outputs)
        return cls(sum(found.values()), found.get("TRANSPOSE", 0), shapes)

    def __str__(self) -> str:
        return f"{self.operators} / {self.transposes}"


def sources() -> dict[str, Path]:
    """Returns the ONNX models by their names."""
    return {
        **{name: path_of(name) for name in MODELS},
        **{name: zoo.torchvision_onnx(name) for name in zoo.TORCHVISION_MODELS},
        "encoder": zoo.transformer_onnx(),
        **{name: zoo.sore_onnx(name) for name in NETS},
    }


def ours(source: Path, io_layout: str) -> Counts:
    """Returns what is in our file."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "m.tflite"
        mmconvert.convert(source, target, verify=False, io_layout=io_layout)
        return Counts.of(target)


def theirs(source: Path, *, keep_inputs: bool) -> Counts | None:
    """Returns what is in the file that onnx2tf makes, if it makes one that LiteRT has the operators for."""
    try:
        made = peers.onnx2tf_tflite(source, keep_inputs=keep_inputs)
    except measure.CommandFailed as error:
        sys.stderr.write(f"{source.name}: {str(error).splitlines()[-1]}\n")
        return None
    if "CUSTOM" in operators.of_tflite(made):
        sys.stderr.write(f"{source.name}: onnx2tf leaves custom operators\n")
        return None
    return Counts.of(made)


def turned(kept: Counts, peer: Counts) -> tuple[int, int]:
    """Returns how many outputs have their axes in another order, and how many of them need a Transpose."""
    pairs = [
        (a, b) for a, b in zip(kept.outputs, peer.outputs, strict=True) if a != b and sorted(a) == sorted(b)
    ]
    return len(pairs), sum([e for e in a if e > 1] != [e for e in b if e > 1] for a, b in pairs)


def row(name: str, source: Path) -> list[str]:
    """Returns a row of the table."""
    kept, moved = (ours(source, layout) for layout in ("source", "target"))
    peer_kept, peer_moved = (theirs(source, keep_inputs=keep) for keep in (True, False))
    if peer_kept is None or peer_moved is None:
        return [name, str(kept), "-", "-", str(moved), "-", "-"]
    outputs, moving = turned(kept, peer_kept)
    no_more = (
        kept.operators <= peer_kept.operators + outputs,
        kept.transposes <= peer_kept.transposes + moving,
        moved.operators <= peer_moved.operators,
        moved.transposes <= peer_moved.transposes,
    )
    shown = f"{outputs} / {moving}" if outputs else "0"
    verdict = "yes" if all(no_more) else "no"
    return [name, str(kept), str(peer_kept), shown, str(moved), str(peer_moved), verdict]


def main() -> None:
    """Counts, prints and writes the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="only the models whose name contains this")
    only = parser.parse_args().only
    rows = [row(name, source) for name, source in sources().items() if only in name]
    measure.publish("transposes", TITLE, [measure.table(HEADER, rows), NOTE], write=not only)


if __name__ == "__main__":
    main()
