from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmconvert.errors import InvalidModelError, UnsupportedError
from tests.parsers.onnx.cases import Case, case, check_case, fixed, x

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
TIME, BATCH, SIZE, HIDDEN = 4, 3, 2, 5
LENGTHS = fixed(np.array([4, 1, 2], np.int32))


def layer(kind: str, extras: str = "", count: int = 1, **attributes: Any) -> list[Any]:
    gates = GATES[kind] * HIDDEN
    options = {
        "b": fixed(x(count, 2 * gates)),
        "l": LENGTHS,
        "h": x(count, BATCH, HIDDEN),
        "c": x(count, BATCH, HIDDEN, seed=1),
        "p": fixed(x(count, 3 * HIDDEN)),
    }
    operands: list[Any] = [
        x(TIME, BATCH, SIZE),
        fixed(x(count, gates, SIZE, low=-1, high=1)),
        fixed(x(count, gates, HIDDEN, low=-1, high=1)),
        *(options[o] if o in extras else None for o in "blhcp"[: 5 if kind == "LSTM" else 3]),
    ]
    outputs = 3 if kind == "LSTM" else 2
    opset = attributes.pop("opset", (7, 14, 22))
    return case(kind, *operands, opset=opset, outputs=outputs, hidden_size=HIDDEN, **attributes)


CASES = [
    *(c for kind in GATES for c in layer(kind)),
    *(c for kind in GATES for c in layer(kind, "blhc", 2, direction="bidirectional")),
    *(c for kind in GATES for c in layer(kind, "bl", direction="reverse", opset=14)),
    *(c for kind in GATES for c in layer(kind, "b", clip=0.4, opset=14)),
    *layer("LSTM", "bhcp", opset=14),
    *layer("LSTM", "b", input_forget=1, opset=14),
    *layer("GRU", "bh", linear_before_reset=1, opset=(7, 14)),
    *layer("RNN", "b", activations=["Affine"], activation_alpha=[0.5], activation_beta=[0.25], opset=14),
    *(
        c
        for name, parameters in (
            *((name, {}) for name in ("Relu", "Tanh", "Sigmoid", "Softsign", "Softplus")),
            *((name, {}) for name in ("HardSigmoid", "LeakyRelu", "Elu")),
            *((name, {"activation_alpha": [0.3]}) for name in ("LeakyRelu", "Elu", "ThresholdedRelu")),
            ("HardSigmoid", {"activation_alpha": [0.3], "activation_beta": [0.2]}),
            ("ScaledTanh", {"activation_alpha": [0.3], "activation_beta": [0.6]}),
        )
        for c in layer("RNN", "b", activations=[name], opset=14, **parameters)
    ),
    *layer(
        "LSTM",
        "blhcp",
        2,
        direction="bidirectional",
        activations=["HardSigmoid", "Affine", "LeakyRelu"] * 2,
        activation_alpha=[0.3, 0.5, 0.6, 0.2, 0.4, 0.7],
        activation_beta=[0.2, 0.1, 0.3, 0.4],
        opset=14,
    ),
    *layer(
        "GRU",
        "bl",
        2,
        direction="bidirectional",
        activations=["HardSigmoid", "LeakyRelu"] * 2,
        activation_alpha=[0.3, 0.6, 0.2, 0.5],
        activation_beta=[0.2, 0.3],
        linear_before_reset=1,
        clip=0.5,
        opset=14,
    ),
    *layer("LSTM", "blhcp", 2, direction="bidirectional", clip=0.3, opset=14),
    *layer("LSTM", "blhcp", 2, direction="bidirectional", input_forget=1, opset=14),
    *layer("GRU", "b", activations=["HardSigmoid", "LeakyRelu"], opset=14),
    *layer(
        "LSTM",
        "b",
        activations=["Sigmoid", "LeakyRelu", "Elu"],
        activation_alpha=[0.3, 0.6],
        opset=14,
    ),
]


@pytest.mark.parametrize("c", CASES)
def test_against_the_runtime(c: Case, tmp_path: Path) -> None:
    check_case(c, tmp_path)


@pytest.mark.parametrize("kind", GATES)
def test_batch_first(kind: str, tmp_path: Path) -> None:
    gates = GATES[kind] * HIDDEN
    (c,) = case(
        kind,
        x(BATCH, TIME, SIZE),
        fixed(x(1, gates, SIZE)),
        fixed(x(1, gates, HIDDEN)),
        opset=14,
        outputs=2,
        oracle="reference",
        hidden_size=HIDDEN,
        layout=1,
    )
    check_case(c.values[0], tmp_path)


def test_an_unknown_activation_is_refused(tmp_path: Path) -> None:
    (c,) = layer("RNN", activations=["Sinus"], opset=14, oracle="reference")
    with pytest.raises(UnsupportedError, match="the activation 'Sinus'"):
        check_case(c.values[0], tmp_path)


def test_the_number_of_activations_is_checked(tmp_path: Path) -> None:
    (c,) = layer("GRU", activations=["Tanh"], opset=14, oracle="reference")
    with pytest.raises(InvalidModelError, match="1 activations instead of 2"):
        check_case(c.values[0], tmp_path)
