"""Products of floats with weights of 8 bits, which kernels compute over integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mmconvert
from mmconvert.errors import UsageError
from mmconvert.interpreter.session import run
from mmconvert.parsers import tflite
from tests.emitters.tflite.files import error, kinds
from tests.parsers.tflite.files import Graph, Op, Tensor, build, feeds_for, load, reference, save
from tests.parsers.tflite.test_integer_kernels import weights

ASYMMETRIC = {"asymmetricQuantizeInputs": True}
CONV = {"strideH": 1, "strideW": 1, "padding": 0}


def single(name: str, x: tuple[int, ...], kernel: Tensor, y: tuple[int, ...], kind: str, version: int,
           **options: object) -> bytes:  # fmt: skip
    """One operator with a bias where it has one."""
    bias = np.random.default_rng(1).normal(0, 0.1, y[-1]).astype(np.float32)
    extra = [] if name == "BATCH_MATMUL" else [Tensor.of(bias)]
    tensors = [Tensor(x), kernel, *extra, Tensor(y)]
    last = len(tensors) - 1
    return build(Graph(tensors, [Op(name, range(last), [last], options, kind, version)], [0], [last]))


IMAGE, DENSE, BATCH = (2, 8, 8, 4), "FullyConnectedOptions", "BatchMatMulOptions"
FILES = {
    "conv": single("CONV_2D", IMAGE, weights(6, 3, 3, 4), (2, 8, 8, 6), "Conv2DOptions", 5, **CONV),
    "conv/channels": single(
        "CONV_2D", IMAGE, weights(6, 3, 3, 4, axis=0), (2, 8, 8, 6), "Conv2DOptions", 5, **CONV
    ),
    "depthwise/channels": single(
        "DEPTHWISE_CONV_2D", IMAGE, weights(1, 3, 3, 4, axis=3), IMAGE, "DepthwiseConv2DOptions", 6,
        depthMultiplier=1, **CONV,
    ),
    "dense": single("FULLY_CONNECTED", (5, 40), weights(12, 40), (5, 12), DENSE, 9),
    "dense/asymmetric": single("FULLY_CONNECTED", (5, 40), weights(12, 40), (5, 12), DENSE, 9, **ASYMMETRIC),
    "dense/channels": single(
        "FULLY_CONNECTED", (5, 40), weights(12, 40, axis=0), (5, 12), DENSE, 12, **ASYMMETRIC
    ),
    "dense/rows": single(
        "FULLY_CONNECTED", (3, 5, 40), weights(12, 40), (3, 5, 12), DENSE, 9, keepNumDims=True
    ),
    "matmul": single("BATCH_MATMUL", (3, 5, 40), weights(40, 12), (3, 5, 12), BATCH, 4),
    "matmul/asymmetric": single(
        "BATCH_MATMUL", (3, 5, 40), weights(40, 12), (3, 5, 12), BATCH, 4, **ASYMMETRIC
    ),
}  # fmt: skip


def four_bits(*shape: int, axis: int | None = None) -> Tensor:
    """Weights of four bits, two to a byte."""
    rng = np.random.default_rng(0)
    codes = rng.integers(-7, 8, shape).reshape(-1) & 15
    scale = 0.05 if axis is None else rng.uniform(0.01, 0.1, shape[axis])
    packed = (codes[0::2] | codes[1::2] << 4).astype(np.uint8)
    return Tensor(shape, "int4", packed.tobytes(), scale=scale, axis=axis or 0)


NARROW = {
    "conv": single("CONV_2D", IMAGE, four_bits(6, 3, 3, 4), (2, 8, 8, 6), "Conv2DOptions", 8, **CONV),
    "conv/channels": single(
        "CONV_2D", IMAGE, four_bits(6, 3, 3, 4, axis=0), (2, 8, 8, 6), "Conv2DOptions", 8, **CONV
    ),
    "dense": single("FULLY_CONNECTED", (5, 40), four_bits(12, 40), (5, 12), DENSE, 10),
    "dense/asymmetric": single(
        "FULLY_CONNECTED", (5, 40), four_bits(12, 40), (5, 12), DENSE, 10, **ASYMMETRIC
    ),
    "dense/channels": single(
        "FULLY_CONNECTED", (5, 40), four_bits(12, 40, axis=0), (5, 12), DENSE, 12, **ASYMMETRIC
    ),
}
READ = FILES | {f"four bits/{name}": data for name, data in NARROW.items()}


@pytest.mark.parametrize("name", READ)
def test_the_kernels_are_read_as_they_compute(name: str, tmp_path: Path) -> None:
    path = save(READ[name], tmp_path)
    module = tflite.load(path)
    feeds = feeds_for(module, low=-1, high=1.7)
    (wanted,) = reference(path).run(feeds).values()
    (found,) = run(module.graph, feeds).values()
    assert error(found, wanted.astype(np.float64)) < 1e-6
    (plain,) = run(tflite.load(path, hybrid="float").graph, feeds).values()
    assert 1e-3 < error(plain, wanted.astype(np.float64)) < 2e-2


@pytest.mark.parametrize("name", FILES)
def test_to_onnx(name: str, tmp_path: Path) -> None:
    report = mmconvert.convert(save(FILES[name], tmp_path), tmp_path / "m.onnx")
    assert report.passed, report.verdict


@pytest.mark.parametrize("name", FILES)
def test_back_to_tflite_bit_by_bit(name: str, tmp_path: Path) -> None:
    """As a hybrid operator over the same integers; a matrix product is one of rows."""
    path, again = save(FILES[name], tmp_path), tmp_path / "again.tflite"
    mmconvert.convert(path, again, verify=False)
    assert set(kinds(again)) - {"RESHAPE"} == {kinds(path)[0].replace("BATCH_MATMUL", "FULLY_CONNECTED")}
    feeds = feeds_for(tflite.load(path), low=-1, high=1.7)
    for resolver in ("BUILTIN_REF", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"):
        (found,), (wanted,) = (reference(p, resolver).run(feeds).values() for p in (again, path))
        if name.startswith("matmul"):
            assert error(found, wanted.astype(np.float64)) < 1e-6
        else:
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", NARROW)
def test_four_bits_are_written_as_what_they_do(name: str, tmp_path: Path) -> None:
    """With the quantization of the floats in operators of its own."""
    path, again = save(NARROW[name], tmp_path), tmp_path / "again.tflite"
    mmconvert.convert(path, again, verify=False)
    feeds = feeds_for(tflite.load(path), low=-1, high=1.7)
    (found,), (wanted,) = (reference(p).run(feeds).values() for p in (again, path))
    assert error(found, wanted.astype(np.float64)) < 1e-6


def test_one_scale_of_a_depthwise_kernel_counts_for_all_channels(tmp_path: Path) -> None:
    """LiteRT's kernel reads a scale for each channel, whether they are there or not."""
    one, channels = weights(1, 3, 3, 4), weights(1, 3, 3, 4)
    channels.scale, channels.axis = np.full(4, one.scale), 3
    options = {"depthMultiplier": 1, **CONV}
    single_scale, scales = (
        single("DEPTHWISE_CONV_2D", IMAGE, kernel, IMAGE, "DepthwiseConv2DOptions", 6, **options)
        for kernel in (one, channels)
    )
    module = load(single_scale, tmp_path)
    feeds = feeds_for(module, low=-1, high=1.7)
    (found,) = run(module.graph, feeds).values()
    (wanted,) = reference(save(scales, tmp_path)).run(feeds).values()
    assert error(found, wanted.astype(np.float64)) < 1e-6


def test_another_reading_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="hybrid='rough'"):
        tflite.load(save(FILES["dense"], tmp_path), hybrid="rough")  # type: ignore[arg-type]
