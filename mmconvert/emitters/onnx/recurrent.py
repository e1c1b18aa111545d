"""Recurrent layers."""

from __future__ import annotations

from typing import Any

from mmconvert.emitters.onnx.writer import RuleTable, Writer
from mmconvert.ir import ops
from mmconvert.ir.graph import Node
from mmconvert.ir.ops.recurrent import Recurrent
from mmconvert.rules import Rules

rule: RuleTable = Rules("ONNX")

_WITH_BETA = ("Affine", "ScaledTanh", "HardSigmoid")
_WITH_ALPHA = (*_WITH_BETA, "LeakyRelu", "ThresholdedRelu", "Elu")


def _attributes(op: Recurrent) -> dict[str, Any]:
    """What the layers have in common; alphas and betas are listed for those that take one."""
    alphas = [a for name, a in zip(op.activations, op.alphas, strict=True) if name in _WITH_ALPHA]
    betas = [b for name, b in zip(op.activations, op.betas, strict=True) if name in _WITH_BETA]
    return {
        "hidden_size": op.hidden_size,
        "direction": op.direction,
        "activations": list(op.activations),
        "activation_alpha": [float(a) for a in alphas] or None,
        "activation_beta": [float(b) for b in betas] or None,
        "clip": None if op.clip is None else float(op.clip),
    }


@rule(ops.RNN)
def rnn(node: Node[ops.RNN], out: Writer) -> None:
    out("RNN", *node.inputs, into=node, **_attributes(node.op))


@rule(ops.GRU)
def gru(node: Node[ops.GRU], out: Writer) -> None:
    before = int(node.op.linear_before_reset) or None
    out("GRU", *node.inputs, into=node, linear_before_reset=before, **_attributes(node.op))


@rule(ops.LSTM)
def lstm(node: Node[ops.LSTM], out: Writer) -> None:
    coupled = int(node.op.input_forget) or None
    out("LSTM", *node.inputs, into=node, input_forget=coupled, **_attributes(node.op))
