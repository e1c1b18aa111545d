"""Every version of every operator of ONNX, and the cases that it appears in.

The backend suite has most operators in their newest form only. Where it has none for another version, its
cases are given that version's operator set; those that ONNX's checker still accepts are cases of that
version. What has no case then either is in ``made``.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase

import onnx
from onnx import defs

from mmconvert.parsers.onnx import refused
from mmconvert.parsers.onnx.convert import NEWEST
from tests.onnx_suite import made
from tests.onnx_suite.deviations import OTHERWISE
from tests.onnx_suite.suite import SuiteCase, cases

Version = tuple[str, int]
"""An operator, and the operator set that changed it."""

ENOUGH = 3
"""So many cases of an older version are taken from the suite's."""


@functools.cache
def history() -> dict[str, list[int]]:
    """The versions of every operator of ONNX itself, those that say that it is gone left out."""
    found: dict[str, list[int]] = {}
    for schema in defs.get_all_schemas_with_history():
        if not schema.domain and not schema.deprecated:
            found.setdefault(schema.name, []).append(schema.since_version)
    return {kind: sorted(versions) for kind, versions in sorted(found.items())}


def opset_of(model: onnx.ModelProto) -> int:
    """The operator set of a model."""
    return max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=1)


def last_opset(version: Version) -> int:
    """The newest operator set in which an operator has this version."""
    kind, since = version
    later = [v for v in history()[kind] if v > since]
    return min(later) - 1 if later else NEWEST


def versions_in(model: onnx.ModelProto) -> set[Version]:
    """What operators a model has, in its own graph, by the version that holds for them."""
    opset = opset_of(model)
    kinds = {node.op_type for node in model.graph.node if node.domain in ("", "ai.onnx")}
    return {
        (kind, max(known)) for kind in kinds if (known := [v for v in history().get(kind, ()) if v <= opset])
    }


@functools.cache
def by_version() -> dict[Version, list[SuiteCase]]:
    """The cases of every version of every operator that is not refused."""
    found: dict[Version, list[SuiteCase]] = {
        (kind, since): []
        for kind, versions in history().items()
        if kind not in refused.OPERATORS
        for since in versions
    }
    for case in (*cases(), *made.cases()):
        for version in versions_in(case.model):
            if version in found:
                found[version].append(case)
    alone: dict[str, list[SuiteCase]] = {}
    for case in cases():
        if len(case.model.graph.node) == 1:
            alone.setdefault(case.model.graph.node[0].op_type, []).append(case)
    for version, known in found.items():
        if not any(len(case.model.graph.node) == 1 for case in known):
            known += _older(alone.get(version[0], []), version)
    return found


def _older(newer: list[SuiteCase], version: Version) -> Iterator[SuiteCase]:
    """Cases that are valid for an older version too; they are no longer when its attributes are others."""
    taken = 0
    other = [name for opsets, names in OTHERWISE.items() if last_opset(version) in opsets for name in names]
    for case in newer:
        if any(fnmatchcase(case.name, name) for name in other):
            continue
        model = onnx.ModelProto()
        model.CopyFrom(case.model)
        for opset in model.opset_import:
            if opset.domain in ("", "ai.onnx"):
                opset.version = last_opset(version)
        try:
            onnx.checker.check_model(model, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
            continue
        yield replace(case, name=f"{case.name}_at_{last_opset(version)}", model=model)
        taken += 1
        if taken == ENOUGH:
            return
