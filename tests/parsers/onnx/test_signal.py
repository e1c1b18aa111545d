from pathlib import Path

import numpy as np
import pytest

from mmconvert.errors import InvalidModelError
from tests.parsers.onnx.cases import Case, case, check_case, fixed, x

SIGNAL, COMPLEX = x(2, 16, 1), x(2, 16, 2)
REPEATED = np.array([[2, 1, 1], [3, 4, 3], [2, 1, 1]], np.float32)
CACHE, UPDATE, START = x(2, 3, 5, 4), x(2, 3, 2, 4), np.array([1, 3])

CASES = [
    *case("DFT", SIGNAL, opset=17),
    *case("DFT", COMPLEX, opset=17, axis=1, inverse=1),
    *case("DFT", SIGNAL, fixed(8), opset=17, onesided=1),
    *case("DFT", SIGNAL, opset=20, onesided=1),
    *case("DFT", x(4, 6, 2), fixed(8), fixed(0), opset=20),
    *case("DFT", x(2, 9, 2), opset=20, inverse=1, onesided=1, oracle="reference"),
    *case("STFT", SIGNAL, fixed(4), None, fixed(8), opset=17),
    *case("STFT", SIGNAL, fixed(3), fixed(x(8)), opset=17),
    *case("STFT", COMPLEX, fixed(4), fixed(x(8)), fixed(8), opset=17, onesided=0),
    *case("MelWeightMatrix", fixed(8), fixed(16), fixed(8192), fixed(0.0), fixed(4096.0), opset=17),
    *case("MelWeightMatrix", fixed(20), fixed(64), fixed(16000), fixed(20.0), fixed(7000.0), opset=17),
    *case("Unique", REPEATED, opset=11, outputs=4),
    *case("Unique", REPEATED, opset=11, outputs=4, sorted=0),
    *case("Unique", REPEATED, opset=11, outputs=4, axis=0),
    *case("Unique", REPEATED, opset=11, outputs=4, axis=-1, sorted=0),
    *case("ReverseSequence", x(4, 3, 2), np.array([4, 1, 2]), opset=10),
    *case("ReverseSequence", x(3, 4), np.array([4, 1, 2]), opset=10, time_axis=1, batch_axis=0),
    *case("TensorScatter", CACHE, UPDATE, START, opset=24, oracle="reference"),
    *case("TensorScatter", CACHE, UPDATE, np.array([1, 4]), opset=24, oracle="reference", mode="circular"),
    *case("TensorScatter", CACHE, UPDATE, opset=24, oracle="reference", axis=2),
    *case("Det", x(2, 3, 3), opset=(11, 22)),
]


@pytest.mark.parametrize("c", CASES)
def test_against_the_runtime(c: Case, tmp_path: Path) -> None:
    check_case(c, tmp_path)


def test_frames_need_a_length(tmp_path: Path) -> None:
    (c,) = case("STFT", SIGNAL, fixed(4), opset=17, oracle="reference")
    with pytest.raises(InvalidModelError, match="frames of 0 every 4"):
        check_case(c.values[0], tmp_path)
