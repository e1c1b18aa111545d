"""Recurrent layers."""

from __future__ import annotations

from typing import Any

from mmconvert.ir.op import Op
from mmconvert.ir.ops import GRU, LSTM, RNN
from tests.cases.case import Case, Data, const, data

GATES: dict[type[Op], int] = {RNN: 1, GRU: 3, LSTM: 4}
PLAIN: dict[type[Op], tuple[str, ...]] = {
    RNN: ("Tanh",),
    GRU: ("Sigmoid", "Tanh"),
    LSTM: ("Sigmoid", "Tanh", "Tanh"),
}
TIME, BATCH, SIZE, HIDDEN = 4, 3, 2, 5


def layer(
    cls: type[Op], name: str, operands: str = "", activations: tuple[Any, ...] = (), **fields: Any
) -> Case:
    """A layer with the optional ``operands`` b, l, h, c, p; activations are (name, alpha, beta)."""
    count = 2 if fields.setdefault("direction", "forward") == "bidirectional" else 1
    chosen = activations or tuple((a, 0.0, 0.0) for a in PLAIN[cls] * count)
    names, alphas, betas = zip(*chosen, strict=True)
    gates = GATES[cls] * HIDDEN
    state = data(f"f32[{count},{BATCH},{HIDDEN}]", -1, 1)
    extras: dict[str, Data] = {
        "b": const(f"f32[{count},{2 * gates}]"),
        "l": data("i32[3]", values=[4, 1, 3]),
        "h": state,
        "c": state,
        "p": const(f"f32[{count},{3 * HIDDEN}]"),
    }
    known = "blhcp" if cls is LSTM else "blh"
    op: Any = cls
    made = op(hidden_size=HIDDEN, activations=names, alphas=alphas, betas=betas, **fields)
    inputs: tuple[Data | None, ...] = (
        data(f"f32[{TIME},{BATCH},{SIZE}]"),
        const(f"f32[{count},{gates},{SIZE}]"),
        const(f"f32[{count},{gates},{HIDDEN}]"),
        *(extras[o] if o in operands else None for o in known),
    )
    while inputs[-1] is None:
        inputs = inputs[:-1]
    return Case(f"{cls.__name__}/{name}", made, inputs)


CASES = [
    *(layer(cls, d, "b", direction=d) for cls in GATES for d in ("forward", "reverse", "bidirectional")),
    *(layer(cls, "no_bias") for cls in GATES),
    *(layer(cls, "initial", "bhc") for cls in GATES),
    *(layer(cls, f"lengths_{d}", "blhc", direction=d) for cls in GATES for d in ("forward", "bidirectional")),
    *(layer(cls, "clip", "b", clip=0.5) for cls in GATES),
    layer(GRU, "linear_before_reset", "bh", linear_before_reset=True),
    layer(GRU, "linear_before_reset_both", "blh", linear_before_reset=True, direction="bidirectional"),
    layer(LSTM, "peephole", "bhcp"),
    layer(LSTM, "peephole_both", "bp", direction="bidirectional"),
    layer(LSTM, "input_forget", "bhc", input_forget=True),
    layer(RNN, "relu", "b", (("Relu", 0.0, 0.0),)),
    layer(RNN, "affine", "b", (("Affine", 0.4, 0.1),)),
    layer(RNN, "leaky_relu", "b", (("LeakyRelu", 0.2, 0.0),)),
    layer(RNN, "thresholded_relu", "b", (("ThresholdedRelu", 0.3, 0.0),)),
    layer(RNN, "scaled_tanh", "b", (("ScaledTanh", 1.5, 0.6),)),
    layer(RNN, "elu", "b", (("Elu", 0.7, 0.0),)),
    layer(RNN, "softsign", "b", (("Softsign", 0.0, 0.0),)),
    layer(RNN, "softplus", "b", (("Softplus", 0.0, 0.0),)),
    layer(GRU, "hard_sigmoid", "b", (("HardSigmoid", 0.3, 0.4), ("Softsign", 0.0, 0.0))),
    layer(
        LSTM,
        "mixed_both",
        "b",
        (
            *(("HardSigmoid", 0.25, 0.5), ("Relu", 0.0, 0.0), ("Tanh", 0.0, 0.0)),
            *(("Sigmoid", 0.0, 0.0), ("Elu", 0.5, 0.0), ("Affine", 0.5, 0.2)),
        ),
        direction="bidirectional",
    ),
]
