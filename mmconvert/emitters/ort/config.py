"""The list of required operators, which a build of ONNX Runtime is reduced to: ``--include_ops_by_config``.

A line is ``domain;version;operator,operator``. An operator may be followed by the element types that the
model uses it with, in JSON; how these are found differs from operator to operator, and ONNX Runtime knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmconvert.emitters.flat import Table
from mmconvert.emitters.ort import contents


def beside(path: Path, *, types: bool) -> Path:
    """Where the list for the ORT file ``path`` goes: ONNX Runtime's own tool calls it the same."""
    return path.with_suffix(f".required_operators{'_and_types' if types else ''}.config")


def text(name: str, graphs: Sequence[Table], types: Any = None) -> str:
    """The list of the operators that ``graphs``, forms of one model, have together.

    Args:
        name: what the list calls the model.
        graphs: the main graphs of ORT files.
        types: the element types, as ``usage`` finds them, to be added.
    """
    found: dict[tuple[str, int], set[str]] = {}
    for graph in graphs:
        for domain, version, operator in contents.operators(graph):
            found.setdefault((domain, version), set()).add(operator)
    lines = ["# Generated from model/s:", f"# - {name}"]
    for (domain, version), operators in sorted(found.items()):
        entries = (o + (types.get_config_entry(domain, o) or "" if types else "") for o in sorted(operators))
        lines.append(f"{domain};{version};{','.join(entries)}")
    return "\n".join(lines) + "\n"


def usage(models: Sequence[Path]) -> Any:
    """The element types that ORT files use operators with, as ONNX Runtime's tool collects them."""
    # This imports PyTorch where that is installed.
    from onnxruntime.tools.ort_format_model import OperatorTypeUsageManager, OrtFormatModelProcessor

    manager = OperatorTypeUsageManager()
    for model in models:
        OrtFormatModelProcessor(str(model), {}, manager).process()
    return manager
