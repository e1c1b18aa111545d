"""Every row of the case table, written and run in NCNN: it does what the IR means."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from mmconvert import dtypes
from mmconvert.errors import MMConvertError
from tests.cases import ALL
from tests.cases.case import Case
from tests.emitters.ncnn.files import round_trip

SHARE = 0.95
"""How much of the float cases of rank 1 to 4 NCNN expresses at least."""


@dataclass(frozen=True)
class Cannot:
    """Cases that NCNN cannot express, and why; a case that does get through fails its test.

    ``name`` may have wildcards.
    """

    name: str
    reason: str

    def covers(self, case: Case) -> bool:
        return fnmatchcase(case.name, self.name)


_MOVING = "NCNN picks elements one by one nowhere, and puts them nowhere"
_WHOLE = "NCNN has no integer arithmetic, and float32 does not do what integers do"
_DATA = "how much there is depends on the data, which NCNN has nothing for"
_NAN = "to NCNN's functions of signs NaN is 0, so comparisons take it for equal"
_LOOP = "NCNN's layer has one form, and NCNN has no loops to write the others with"
_OTHERS = "relu affine leaky_relu thresholded_relu scaled_tanh elu softsign softplus"
_EMPTY = "NCNN has no empty blobs"


def _each(kinds: str, name: str, reason: str) -> list[Cannot]:
    return [Cannot(f"{kind}/{name}", reason) for kind in kinds.split()]


CANNOT = [
    *_each("GatherElements GatherND ScatterElements ScatterND ReverseSequence", "*", _MOVING),
    *_each("BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor", "*i*", _WHOLE),
    Cannot("BitCast/f32_i32", _WHOLE),
    *_each("BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor", "*u*", _WHOLE),
    *_each("ConvInteger MatMulInteger", "*", _WHOLE),
    *_each("Div FloorDiv Fmod Mod MatMul ReduceMean ReduceProd", "i32", _WHOLE),
    *_each("Div FloorDiv Fmod Mod MatMul ReduceMean ReduceProd", "i64", _WHOLE),
    Cannot("Pow/i32", _WHOLE),
    Cannot("Cast/f32_to_u8", "float32 does not wrap around as u8 does"),
    *(
        Cannot(f"DynamicQuantize/{numbers}", "float32 does not wrap around as u8 does")
        for numbers in ("both_signs", "positive", "negative", "zeros", "rows")
    ),
    *_each("Equal NotEqual GreaterEqual LessEqual", "nan", _NAN),
    Cannot("IsNan/*", _NAN),
    *_each("NonZero Unique NonMaxSuppression", "*", _DATA),
    *_each("GRU", "forward", _LOOP),
    *_each("GRU", "reverse", _LOOP),
    *_each("GRU", "bidirectional", _LOOP),
    *_each("GRU", "no_bias", _LOOP),
    *_each("GRU", "initial", _LOOP),
    *_each("GRU", "hard_sigmoid", _LOOP),
    *_each("GRU", "linear_before_reset_both", _LOOP),
    *_each("GRU LSTM RNN", "clip", _LOOP),
    *_each("GRU LSTM RNN", "lengths_*", _LOOP),
    *_each("LSTM", "peephole*", _LOOP),
    *_each("LSTM", "input_forget", _LOOP),
    *_each("LSTM", "mixed_both", _LOOP),
    *(Cannot(f"RNN/{function}", _LOOP) for function in _OTHERS.split()),
    *_each("MaxPoolIndices TopK", "*", "NCNN ranks the elements of a vector only"),
    *_each("Det Inverse MaxRoiPool", "*", "NCNN has no such layer, and it has no decomposition"),
    Cannot("RoiAlign/*", "NCNN's layer takes one region, and ours differ in how many samples a bin has"),
    *_each("Range ReadExtents Shape", "*", "the emitter takes extents from shapes, not from values"),
    *_each("Slice", "nothing", _EMPTY),
    *_each("Reshape", "empty", _EMPTY),
    Cannot("DeformConv/groups", "NCNN's deformable convolution has one group"),
    Cannot("LRN/size[24]_axis3", "the window is uneven, and its decomposition has the channels last"),
    Cannot("MaxPool/f64/*", "NCNN computes in float32"),
    Cannot("MatMul/rank5", "NCNN broadcasts two axes of a product"),
    Cannot("Einsum/ellipsis_broadcast", "NCNN has four axes"),
    Cannot("Quantize/block*", "NCNN has no blocks of scales"),
    Cannot("Quantize/ties_to_even", "NCNN's division is not correctly rounded, so ties are none"),
    Cannot("ScaledDotProductAttention/blind_query", "nothing to attend to is NaN, which NCNN loses"),
]


OTHER_NANS = {f"IsInf/{which}" for which in ("both", "positive", "negative")} | {"Less/nan", "Greater/nan"}
"""What NCNN gets right because it takes the sign of NaN to be 0; to the interpreter it is NaN."""


@pytest.mark.parametrize("case", ALL, ids=str)
def test_case(case: Case, tmp_path: Path) -> None:
    if not _is_expressible(case):
        with pytest.raises((MMConvertError, AssertionError)):
            round_trip(*case.build(), tmp_path)
        return
    round_trip(*case.build(), tmp_path, read_back=case.name not in OTHER_NANS)


def test_every_limitation_is_met() -> None:
    assert not [item.name for item in CANNOT if not any(map(item.covers, ALL))]


def test_most_float_cases_are_expressed() -> None:
    floats = [case for case in ALL if _is_float(case)]
    assert sum(map(_is_expressible, floats)) >= SHARE * len(floats)


def _is_expressible(case: Case) -> bool:
    return not any(item.covers(case) for item in CANNOT)


def _is_float(case: Case) -> bool:
    graph, _ = case.build()
    ends = (*graph.inputs, *graph.outputs)
    narrow = all(dtypes.is_float(v.type.dtype) and v.type.dtype != dtypes.F64 for v in ends)
    return narrow and all(v.type.rank <= 4 for v in graph.values())
