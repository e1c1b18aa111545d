"""How older opsets spell what newer ones do.

Rules write the newest form of an ONNX operator. What differs in spelling alone is put right here, in one
place for all of them: operands that used to be attributes, attributes that came later, and element types that
came later, where another type computes exactly the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.emitters.onnx import schema
from mmconvert.errors import UnsupportedError
from mmconvert.tensors import Array

_REDUCTIONS = (
    *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax"),
    *("ReduceMean", "ReduceMin", "ReduceProd", "ReduceSumSquare"),
)

_OPERANDS: dict[str, tuple[int, dict[int, str]]] = {
    "Clip": (11, {1: "min", 2: "max"}),
    "DFT": (20, {2: "axis"}),
    "Pad": (11, {1: "pads", 2: "value"}),
    "ReduceSum": (13, {1: "axes"}),
    "Slice": (10, {1: "starts", 2: "ends", 3: "axes"}),
    "Split": (13, {1: "split"}),
    "Squeeze": (13, {1: "axes"}),
    "TopK": (10, {1: "k"}),
    "Unsqueeze": (13, {1: "axes"}),
    **{kind: (18, {1: "axes"}) for kind in _REDUCTIONS},
}
"""The first opset in which operands, by position, are no longer attributes."""

_NEUTRAL: dict[tuple[str, str], Callable[[Any], bool]] = {
    **{(kind, "dilations"): lambda d: max(d) == 1 for kind in ("MaxPool", "AveragePool", "LpPool")},
    **{(kind, "select_last_index"): lambda last: not last for kind in ("ArgMax", "ArgMin")},
    ("DepthToSpace", "mode"): lambda mode: mode == "DCR",
    ("GatherND", "batch_dims"): lambda count: count == 0,
    ("TopK", "largest"): bool,
    ("TopK", "sorted"): lambda _: True,
}
"""Attributes that came after their operator, and the values that mean the same as their absence."""

_CONVERT: dict[str, Callable[[Array], Any]] = {
    "FLOAT": lambda numbers: float(numbers.item()),
    "INT": lambda numbers: int(numbers.item()),
    "INTS": lambda numbers: numbers.reshape(-1).tolist(),
}
"""Numbers as an attribute of some type."""

_BY_ORDER = {"Equal", "Max", "MaxPool", "Min", "Pad", "ReduceMax", "ReduceMin", "TopK"}
"""Operators that move or order numbers: any type that holds the numbers serves."""

_MODULAR = {"Add", "CumSum", "Div", "MatMul", "Mul", "ReduceSum", "Sub"}
"""Operators that commute with taking the lowest bits: any integer type that is no narrower serves.

So does division, as all that lack it are narrower than what serves."""


def with_attributes(
    kind: str,
    names: list[str],
    attributes: Mapping[str, Any],
    opset: int,
    constant: Callable[[str], Array | None],
) -> tuple[list[str], dict[str, Any]]:
    """Operands and attributes of an operator as ``opset`` has them.

    Args:
        kind: the ONNX operator.
        names: the operands in their newest form; "" for one that is not there.
        attributes: the attributes in their newest form.
        opset: the operator set.
        constant: the numbers of an operand, None when they are computed.

    Raises:
        UnsupportedError: the opset cannot be told what an operand or an attribute says.
    """
    given = {k: v for k, v in attributes.items() if v is not None}
    known = schema.attributes(kind, opset)
    if known is not None:
        for name in sorted(set(given) - known.keys()):
            if not (neutral := _NEUTRAL.get((kind, name))) or not neutral(given[name]):
                raise UnsupportedError(f"ONNX has no {name} of {kind} at opset {opset}")
            del given[name]
    since, places = _OPERANDS.get(kind, (0, {}))
    if opset >= since or known is None:
        return names, given
    for place, attribute in places.items():
        if place < len(names) and names[place]:
            numbers = constant(names[place])
            if numbers is None:
                raise UnsupportedError(
                    f"ONNX has a computed operand {attribute} of {kind} since opset {since}"
                )
            given[attribute] = _CONVERT[known[attribute]](numbers)
    rest = [name for place, name in enumerate(names) if place not in places]
    return rest, given


def carrier(kind: str, dtype: DType, opset: int) -> DType | None:
    """The type in which ``kind`` computes for ``dtype``, which it does not take itself; None without one.

    Numbers are cast to it and the results back, which changes none of them.
    """
    if kind in _BY_ORDER:
        serves = [t for t in (dtypes.I32, dtypes.I64, dtypes.F32, dtypes.F64) if _holds(t, dtype)]
    elif kind in _MODULAR and dtypes.is_integer(dtype):
        serves = [t for t in (dtypes.I32, dtypes.I64) if t.itemsize >= dtype.itemsize]
    else:
        return None
    signature = schema.signature(kind, opset)
    return next((t for t in serves if signature and signature[0][0].takes(t)), None)


def _holds(wide: DType, narrow: DType) -> bool:
    """True when every number of ``narrow`` is one of ``wide``."""
    exact = {dtypes.F32: 24, dtypes.F64: 53}
    if narrow == dtypes.BOOL:
        return True
    if not dtypes.is_integer(narrow):
        return wide in exact and narrow.itemsize < wide.itemsize
    signed = not dtypes.name(narrow).startswith("u")
    return narrow.itemsize * 8 <= exact.get(wide, wide.itemsize * 8 - (not signed))
