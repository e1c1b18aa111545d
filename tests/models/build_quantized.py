"""Quantizes an ONNX model with ONNX Runtime's tool: python -m tests.models.build_quantized SOURCE TARGET"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import version_converter
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from tests.models.pictures import pictures

COUNT, HEIGHT, WIDTH, OPSET = 8, 48, 192, 13


class Pictures(CalibrationDataReader):
    """Seeded pictures in [-1, 1] for a net with one image input in NCHW."""

    def __init__(self, name: str) -> None:
        images = pictures(COUNT, WIDTH, seed=0)[:, :HEIGHT] * 2 - 1
        self._feeds = iter([{name: np.transpose(i[None], (0, 3, 1, 2)).copy()} for i in images])

    def get_next(self) -> dict[str, Any] | None:  # type: ignore[override]
        """Returns the next feed, None at the end."""
        return next(self._feeds, None)


def main() -> None:
    """Quantizes the model that is named on the command line."""
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    prepared = target.with_suffix(".prepared.onnx")
    # Scales for each channel need a newer opset than many files have.
    onnx.save(version_converter.convert_version(onnx.load(source), OPSET), prepared)
    quant_pre_process(str(prepared), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(target),
        Pictures(onnx.load(prepared).graph.input[0].name),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
    )


if __name__ == "__main__":
    main()
