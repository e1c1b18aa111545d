"""Counts the operators of a model file.

python -m benchmarks.operators FILE      prints {"CONV_2D": 52, ...}
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

from benchmarks.measure import run


def count(path: Path) -> dict[str, int]:
    """Returns the counts as `of_tflite` does, found in a child so that the caller stays small."""
    found: dict[str, int] = json.loads(run([sys.executable, "-m", "benchmarks.operators", str(path)]).output)
    return found


def of_tflite(path: Path) -> dict[str, int]:
    """Returns how often each operator stands in a TFLite file, in all its subgraphs."""
    from tflite.BuiltinOperator import BuiltinOperator
    from tflite.Model import Model

    names = {code: name for name, code in vars(BuiltinOperator).items() if not name.startswith("_")}
    model = Model.GetRootAs(path.read_bytes(), 0)
    # Files from before the field grew to 32 bits have the code in the deprecated one only.
    codes = [
        max(entry.BuiltinCode(), entry.DeprecatedBuiltinCode())
        for entry in map(model.OperatorCodes, range(model.OperatorCodesLength()))
    ]
    found: Counter[str] = Counter()
    for graph in map(model.Subgraphs, range(model.SubgraphsLength())):
        for index in range(graph.OperatorsLength()):
            found[names[codes[graph.Operators(index).OpcodeIndex()]]] += 1
    return dict(found.most_common())


def of_onnx(path: Path) -> dict[str, int]:
    """Returns how often each operator stands in an ONNX file: Constants too, and what is in sub-graphs."""
    import onnx

    found: Counter[str] = Counter()
    waiting = [onnx.load(path, load_external_data=False).graph]
    while waiting:
        for node in waiting.pop().node:
            found[node.op_type] += 1
            for attribute in node.attribute:
                waiting += [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
    return dict(found.most_common())


if __name__ == "__main__":
    print(json.dumps(of_tflite(Path(sys.argv[1]))))
