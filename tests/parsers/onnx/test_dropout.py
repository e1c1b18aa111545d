"""The rate of dropout is kept: what is trained further needs it."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

import mmconvert
from mmconvert.ir.ops import Dropout


@pytest.mark.parametrize(
    ("opset", "operands", "attributes", "rate"),
    [
        (10, ["x"], {"ratio": 0.25}, 0.25),
        (10, ["x"], {}, 0.5),
        (13, ["x", "rate"], {}, 0.75),
        (13, ["x"], {}, 0.5),
    ],
)
def test_rate(
    opset: int, operands: list[str], attributes: dict[str, float], rate: float, tmp_path: Path
) -> None:
    node = helper.make_node("Dropout", operands, ["y"], **attributes)
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, 3]) for n in "xy"]
    constants = [helper.make_tensor("rate", TensorProto.FLOAT, [], [0.75])]
    graph = helper.make_graph([node], "g", info[:1], info[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    onnx.save(model, tmp_path / "m.onnx")
    (found,) = mmconvert.load(tmp_path / "m.onnx").graph
    assert isinstance(found.op, Dropout)
    assert found.op.rate == pytest.approx(rate)
