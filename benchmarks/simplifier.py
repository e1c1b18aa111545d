"""How many nodes are left in ONNX files, against onnxslim and onnxsim.

python -m benchmarks.simplifier [--only TEXT]

A node of a sub-graph counts like any other, and so does a Constant. Ours is counted at the source's own opset
(the oldest that we write, where that is newer), and at the opset that we write by default.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measure, peers
from benchmarks.operators import of_onnx
from tests.models import zoo

OLDEST, DEFAULT = 9, 17
HEADER = ["model", "opset", "in the file", "onnxslim", "onnxsim", "ours", f"ours, opset {DEFAULT}", "fewest"]
PACKAGES = ("onnx", "onnxruntime", "torch", "keras")

TF2ONNX = ("MobileNetV2", "ResNet50", "MobileNetV3Small", "DenseNet121")
"""The nets that tf2onnx can write: in EfficientNetB0 it takes constants for inputs."""

MODELS: dict[str, Callable[[], Path]] = {
    **{
        name: lambda name=name: zoo.package_file(name)
        for name, at in zoo.PACKAGED.items()
        if at.member.endswith(".onnx")
    },
    "rapidocr-cls, QDQ": lambda: zoo.quantized_onnx("rapidocr-cls"),
    **{f"BERT, PyTorch, opset {o}": lambda o=o: zoo.bert_onnx(o) for o in (13, 17)},
    **{f"{name}, PyTorch": lambda name=name: zoo.torchvision_onnx(name) for name in zoo.TORCHVISION_MODELS},
    "resnet50, PyTorch, batch norms kept": lambda: zoo.torchvision_onnx("resnet50", keep_batch_norm=True),
    **{f"{name}, tf2onnx": lambda name=name: zoo.keras_application_onnx(name) for name in TF2ONNX},
}


@dataclass(frozen=True)
class Row:
    """The nodes of a model, as it is and as each program leaves it."""

    name: str
    opset: int
    source: int
    theirs: dict[str, int]
    own: int
    default: int

    @property
    def is_fewest(self) -> bool:
        """Whether neither peer leaves fewer nodes than we do, at either opset."""
        return max(self.own, self.default) <= min(self.theirs.values(), default=self.source)

    def cells(self) -> list[str]:
        """Returns the row of the table."""
        theirs = [str(self.theirs.get(name, "fails")) for name in peers.SIMPLIFIERS]
        numbers = [str(self.opset), str(self.source), *theirs, str(self.own), str(self.default)]
        return [self.name, *numbers, "met" if self.is_fewest else "missed"]


def count(path: Path) -> int:
    """Returns the number of nodes in an ONNX file, those of sub-graphs included."""
    return sum(of_onnx(path).values())


def opset_of(path: Path) -> int:
    """Returns the opset of the ONNX operators in a file."""
    import onnx

    imports = onnx.load(path, load_external_data=False).opset_import
    return next(entry.version for entry in imports if entry.domain in ("", "ai.onnx"))


def row(name: str) -> Row:
    """Counts one model."""
    source = MODELS[name]()
    opset = opset_of(source)
    theirs = {peer: count(path) for peer, path in peers.simplified(source).items()}
    return Row(name, opset, count(source), theirs, ours(source, max(opset, OLDEST)), ours(source, DEFAULT))


def ours(source: Path, opset: int) -> int:
    """Returns the number of nodes that we leave at `opset`."""
    import mmconvert

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "m.onnx"
        mmconvert.convert(source, out, verify=False, opset=opset)
        return count(out)


def main() -> int:
    """Counts, prints and writes the page; returns 1 where a peer leaves fewer nodes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="only the models whose name contains this; writes no page")
    options = parser.parse_args()
    rows = [row(name) for name in MODELS if options.only in name]
    note = (
        "Nodes, those of sub-graphs and Constants included. The column before the last is at the opset that "
        "we write by default, the one before at the source's own (9, where it is older). "
        f"{peers.ONNXSLIM}, {peers.ONNXSIM}; {measure.versions(PACKAGES)}."
    )
    parts = [measure.table(HEADER, [r.cells() for r in rows]), note]
    measure.publish("simplifier", "Nodes left in ONNX files", parts, write=not options.only)
    return 0 if all(r.is_fewest for r in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
