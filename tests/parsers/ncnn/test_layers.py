"""Layers by hand: what was read computes what NCNN computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmconvert.errors import UnsupportedError
from mmconvert.interpreter.session import run
from mmconvert.parsers import ncnn as parser
from mmconvert.runtimes.ncnn import Session
from tests.parsers.ncnn.files import agree, f32, tagged, write

PICTURE = (6, 8, 9)
ROWS = (6, 8)
VECTOR = (6,)
VOLUME = (6, 4, 5, 7)

PLAIN = [
    ("AbsVal", PICTURE),
    ("BNLL", PICTURE),
    ("CELU 0=0.7", PICTURE),
    ("Clip 0=-0.5 1=1.0", PICTURE),
    ("Clip", PICTURE),
    ("CumulativeSum 0=1", PICTURE),
    ("DeepCopy", PICTURE),
    ("Dropout 0=0.5", PICTURE),
    ("ELU 0=0.3", PICTURE),
    ("Erf", PICTURE),
    ("Exp 1=0.5 2=0.1", PICTURE),
    ("Exp 0=2.0", PICTURE),
    ("ExpandDims -23303=1,0", ROWS),
    ("ExpandDims -23303=1,-1", ROWS),
    ("Flatten", PICTURE),
    ("Flatten", ROWS),
    ("Flip -23300=2,0,2", PICTURE),
    ("GELU", PICTURE),
    ("GELU 0=1", PICTURE),
    ("GLU 0=0", PICTURE),
    ("HardSigmoid 0=0.3 1=0.4", PICTURE),
    ("HardSwish", PICTURE),
    ("HardSwish 0=1.666667e-01 1=0.5", PICTURE),
    ("LRN 1=5 2=0.5 3=0.75 4=2.0", PICTURE),
    ("LRN 0=1 1=3 2=0.5", PICTURE),
    ("Mish", PICTURE),
    ("MVN", PICTURE),
    ("MVN 0=1 1=1", PICTURE),
    ("MVN 0=1 2=0.001", PICTURE),
    ("Noop", PICTURE),
    ("Padding 0=1 1=2 2=3 3=0 5=0.5", PICTURE),
    ("Padding 0=1 1=2 2=3 3=1 4=1", PICTURE),
    ("Padding 0=1 1=2 2=3 3=1 4=2", PICTURE),
    ("Padding 7=1 8=2 5=-1.0", PICTURE),
    ("Padding 2=1 3=2", VECTOR),
    *((f"Permute 0={order}", PICTURE) for order in range(6)),
    ("Permute 0=1", ROWS),
    ("Permute 0=17", VOLUME),
    ("PixelShuffle 0=2", (8, 3, 5)),
    ("PixelShuffle 0=2 1=1", (8, 3, 5)),
    ("Pooling 0=0 1=3 2=2 5=1", PICTURE),
    ("Pooling 0=0 1=3 2=2", PICTURE),
    ("Pooling 0=0 1=3 2=2 3=1", PICTURE),
    ("Pooling 0=1 1=3 2=2 3=1", PICTURE),
    ("Pooling 0=1 1=3 11=2 2=2 12=1 3=1 14=0 13=1 15=0 5=1 6=1", PICTURE),
    ("Pooling 0=1 1=2 2=2 5=2", PICTURE),
    ("Pooling 0=0 1=3 2=2 5=3", PICTURE),
    ("Pooling 0=0 4=1", PICTURE),
    ("Pooling 0=1 4=1", PICTURE),
    ("Pooling 0=1 7=1 8=3 18=2", PICTURE),
    ("Pooling 0=0 7=1 8=4 18=-233", PICTURE),
    ("Pooling1D 0=1 1=3 2=2 5=1", ROWS),
    ("Pooling3D 0=0 1=2 2=2 5=1", VOLUME),
    ("Power 0=2.0 1=0.5 2=1.5", PICTURE),
    ("Reduction 0=3 1=0 -23303=2,1,2 4=0 5=1", PICTURE),
    ("Reduction 0=4 1=0 -23303=1,-1 4=1 5=1", PICTURE),
    ("Reduction 0=0 1=1 2=0.5", PICTURE),
    ("Reduction 0=8 1=0 -23303=1,0 5=1", PICTURE),
    ("Reduction 0=10 1=0 -23303=1,0 5=1", PICTURE),
    ("ReLU", PICTURE),
    ("ReLU 0=0.1", PICTURE),
    ("Reorg 0=2", (6, 8, 10)),
    ("Reorg 0=2 1=1", (6, 8, 10)),
    ("Reshape 0=-1", PICTURE),
    ("Reshape 0=-1 1=12", PICTURE),
    ("Reshape 0=0 1=-1 2=3", PICTURE),
    ("Reshape 0=3 1=3 11=-1 2=6", PICTURE),
    ('Reshape 6="*(0w,0h),//(0c,2),2"', PICTURE),
    ("SELU", PICTURE),
    ("ShuffleChannel 0=2", PICTURE),
    ("ShuffleChannel 0=3 1=1", PICTURE),
    ("Shrink 0=0.2 1=0.4", PICTURE),
    ("Sigmoid", PICTURE),
    ("Softmax 0=0 1=1", PICTURE),
    ("Softmax 0=-1 1=1", PICTURE),
    ("Softplus", PICTURE),
    ("Squeeze -23303=1,1", (6, 1, 9)),
    ("Squeeze 1=1", (6, 1, 9)),
    ("Swish", PICTURE),
    ("TanH", PICTURE),
    ("Threshold 0=0.3", PICTURE),
    ("Tile 0=1 1=2", PICTURE),
    ("Tile -23302=3,2,1,3", PICTURE),
    *(
        (f"UnaryOp 0={op}", PICTURE)
        for op in (0, 1, 2, 3, 4, 7, 9, 10, 14, 15, 16, 18, 19, 20, 21, 22, 23, 24)
    ),
    *((f"BinaryOp 0={op} 1=1 2=0.75", PICTURE) for op in (0, 1, 2, 3, 4, 5, 7, 8, 10, 12, 15)),
    ("Crop 0=1 1=2 2=1 3=4 4=3 5=2", PICTURE),
    ("Crop 0=1 1=2 6=2 7=1 3=-233 4=5 5=-233", PICTURE),
    ("Crop -23309=2,1,-5 -23310=2,-1,-233 -23311=2,0,2", PICTURE),
    ("Interp 0=1 1=2.0 2=3.0", PICTURE),
    ("Interp 0=2 1=2.0 2=2.0", PICTURE),
    ("Interp 0=2 3=5 4=7", PICTURE),
    ("Interp 0=2 3=5 4=7 6=1", PICTURE),
    ("Interp 0=3 3=13 4=11", PICTURE),
    ("Interp 0=1 3=13 4=4", PICTURE),
    ("Interp 0=2 3=1 4=13", ROWS),
]


@pytest.mark.parametrize(("text", "shape"), PLAIN, ids=lambda value: str(value).replace("/", "|"))
def test_plain(text: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    kind, *parameters = text.split(" ", 1)
    agree(write(tmp_path, [_input(shape), f"{kind} layer 1 1 x y {''.join(parameters)}"]), shape)


def _input(shape: tuple[int, ...], name: str = "x") -> str:
    letters = {1: (0,), 2: (1, 0), 3: (2, 1, 0), 4: (2, 11, 1, 0)}[len(shape)]
    hints = " ".join(f"{number}={extent}" for number, extent in zip(letters, shape, strict=True))
    return f"Input {name} 0 1 {name} {hints}"


WEIGHTED = [
    ("BatchNorm 0=6 1=0.001", PICTURE, (f32(6), f32(6), f32(6, low=0.5), f32(6))),
    ("Bias 0=6", PICTURE, (f32(6),)),
    ("Scale 0=6", PICTURE, (f32(6),)),
    ("Scale 0=6 1=1", PICTURE, (f32(6), f32(6, seed=1))),
    ("PReLU 0=6", PICTURE, (f32(6),)),
    ("PReLU 0=1", PICTURE, (f32(1),)),
    ("PReLU 0=6", ROWS, (f32(6),)),
    ("LayerNorm 0=9 1=0.001", PICTURE, (f32(9), f32(9))),
    ("LayerNorm 0=72 1=0.001", PICTURE, (f32(72), f32(72))),
    ("LayerNorm 0=9 2=0", PICTURE, ()),
    ("RMSNorm 0=8 1=0.001", ROWS, (f32(8),)),
    ("GroupNorm 0=2 1=6 2=0.001", PICTURE, (f32(6), f32(6))),
    ("InstanceNorm 0=6 1=0.001", PICTURE, (f32(6), f32(6))),
    ("InstanceNorm 0=6 2=0", PICTURE, ()),
    ("Normalize 1=1 2=0.0001 3=1", PICTURE, (f32(1),)),
    ("Normalize 0=1 2=0.0001 3=6", PICTURE, (f32(6),)),
    ("Normalize 2=0.0001 3=6 9=1", PICTURE, (f32(6),)),
    ("Padding 0=1 1=1 2=1 3=1 6=6", PICTURE, (np.full(6, 0.25, "<f4").tobytes(),)),
    ("Convolution 0=4 1=3 4=1 5=1 6=216", PICTURE, (tagged(216), f32(4))),
    ("Convolution 0=4 1=3 11=2 2=2 12=1 3=2 13=1 4=1 15=2 14=0 16=1 6=144", PICTURE, (tagged(144),)),
    ("Convolution 0=4 1=3 3=2 4=-233 6=216", PICTURE, (tagged(216),)),
    ("Convolution 0=4 1=3 3=2 4=-234 6=216", PICTURE, (tagged(216),)),
    *(
        (f"Convolution 0=4 1=1 5=1 6=24 9={kind}", PICTURE, (tagged(24), f32(4)))
        for kind in ("1", "2 -23310=1,0.1", "3 -23310=2,-0.5,0.5", "4", "5", "6 -23310=2,0.2,0.5")
    ),
    ("ConvolutionDepthWise 0=6 1=3 4=1 5=1 6=54 7=6", PICTURE, (tagged(54), f32(6))),
    ("ConvolutionDepthWise 0=4 1=3 6=108 7=2", PICTURE, (tagged(108),)),
    ("Convolution1D 0=4 1=3 3=2 4=1 5=1 6=72", ROWS, (tagged(72), f32(4))),
    ("ConvolutionDepthWise1D 0=6 1=3 6=18 7=6", ROWS, (tagged(18),)),
    ("Convolution3D 0=4 1=2 4=1 6=192", VOLUME, (tagged(192),)),
    ("Deconvolution 0=4 1=3 3=2 4=1 18=1 5=1 6=216", PICTURE, (tagged(216), f32(4))),
    ("DeconvolutionDepthWise 0=4 1=3 3=2 6=108 7=2", PICTURE, (tagged(108),)),
    ("Deconvolution1D 0=4 1=3 3=2 6=72", ROWS, (tagged(72),)),
    ("Deconvolution3D 0=4 1=2 3=2 6=192", VOLUME, (tagged(192),)),
    ("InnerProduct 0=5 1=1 2=30", VECTOR, (tagged(30), f32(5))),
    ("InnerProduct 0=5 1=1 2=2160 9=1", PICTURE, (tagged(2160), f32(5))),
    ("InnerProduct 0=5 1=0 2=40", ROWS, (tagged(40),)),
    ("LSTM 0=5 1=160 2=0", ROWS, (tagged(160), tagged(20), tagged(100))),
    ("LSTM 0=5 1=320 2=2", ROWS, (tagged(320), tagged(40), tagged(200))),
    ("GRU 0=5 1=120 2=1", ROWS, (tagged(120), tagged(20), tagged(75))),
    ("RNN 0=5 1=40 2=0", ROWS, (tagged(40), tagged(5), tagged(25))),
    ("Gemm 4=0 5=1 6=1 7=0 8=5 9=8 10=4 3=1", ROWS, (tagged(40), tagged(5))),
    ("Gemm 4=0 5=1 6=1 7=0 8=5 9=8 10=-1 0=0.5", ROWS, (tagged(40),)),
    (
        "MultiHeadAttention 0=8 1=2 2=64",
        ROWS,
        tuple(part for seed in range(4) for part in (tagged(64, seed=seed), f32(8, seed=seed))),
    ),
]


@pytest.mark.parametrize(
    ("text", "shape", "weights"), WEIGHTED, ids=lambda v: v if isinstance(v, str) else ""
)
def test_weighted(text: str, shape: tuple[int, ...], weights: tuple[bytes, ...], tmp_path: Path) -> None:
    kind, parameters = text.split(" ", 1)
    path = write(tmp_path, [_input(shape), f"{kind} layer 1 1 x y {parameters}"], *weights)
    assert not parser.load(path).warnings
    agree(path, shape)


PAIRED = [
    ("BinaryOp 0=0", PICTURE, PICTURE),
    ("BinaryOp 0=1", PICTURE, (6,)),
    ("BinaryOp 0=1", (6,), PICTURE),
    ("BinaryOp 0=2", PICTURE, (9,)),
    ("BinaryOp 0=2", PICTURE, (6, 8)),
    ("BinaryOp 0=3", PICTURE, (6, 1, 9)),
    ("BinaryOp 0=7", ROWS, (8,)),
    ("BinaryOp 0=4", ROWS, (6,)),
    ("Eltwise 0=0", PICTURE, PICTURE),
    ("Eltwise 0=1", PICTURE, PICTURE),
    ("Eltwise 0=1 -23301=2,0.2,1.5", PICTURE, PICTURE),
    ("Eltwise 0=2", PICTURE, PICTURE),
    ("Concat 0=0", PICTURE, (3, 8, 9)),
    ("Concat 0=-1", ROWS, (6, 3)),
    ("Crop", PICTURE, (4, 5, 6)),
    ("Interp 0=2 5=1", PICTURE, (1, 5, 4)),
    ("MatMul", ROWS, (8, 5)),
    ("MatMul 0=1", PICTURE, (6, 5, 9)),
    ("MatMul", PICTURE, (9, 4)),
    ("Gemm 10=-1", ROWS, (8, 5)),
    ("GridSample 0=1 1=1", PICTURE, (4, 5, 2)),
    ("GridSample 0=2 1=2 2=1", PICTURE, (4, 5, 2)),
]


@pytest.mark.parametrize(("text", "first", "second"), PAIRED, ids=str)
def test_paired(text: str, first: tuple[int, ...], second: tuple[int, ...], tmp_path: Path) -> None:
    kind, *parameters = text.split(" ", 1)
    lines = [_input(first), _input(second, "z"), f"{kind} layer 2 1 x z y {''.join(parameters)}"]
    agree(write(tmp_path, lines), first, second)


def test_einsum(tmp_path: Path) -> None:
    codes = ",".join(str(ord(letter)) for letter in "ik,kj->ij")
    lines = [_input((6, 8)), _input((8, 5), "z"), f"Einsum layer 2 1 x z y -23300=9,{codes}"]
    agree(write(tmp_path, lines), (6, 8), (8, 5))


def test_slices_and_copies(tmp_path: Path) -> None:
    lines = [
        _input(PICTURE),
        "Split copies 1 2 x a b",
        "Slice cut 1 3 a p q r -23300=3,1,-233,-233 1=0",
        "Slice again 1 2 b s t -23302=1,-2 1=2",
        "ReLU last 1 1 p u",
    ]
    made = agree(write(tmp_path, lines), PICTURE)
    assert [array.shape[1:] for array in made] == [(2, 8, 9), (3, 8, 9), (6, 8, 7), (6, 8, 2), (1, 8, 9)]


def test_memory_data_and_tables(tmp_path: Path) -> None:
    lines = ["Input ids 0 1 ids 0=3", "Embed table 1 1 ids rows 0=4 1=5 2=1 3=20"]
    lines += ["MemoryData more 0 1 more 0=4 1=3", "BinaryOp sum 2 1 rows more y 0=0"]
    path = write(tmp_path, lines, tagged(20), f32(4), f32(12))
    graph = parser.load(path).graph
    feeds = {"ids": np.array([[4, 0, 2]], np.int32)}
    np.testing.assert_allclose(run(graph, feeds)["y"], Session(path).run(feeds)["y"], rtol=1e-6)


def test_states_of_a_recurrent_layer(tmp_path: Path) -> None:
    lines = [_input(ROWS), _input((1, 5), "h"), _input((1, 5), "c")]
    lines += ["LSTM layer 3 3 x h c y h1 c1 0=5 1=160 2=0"]
    agree(write(tmp_path, lines, tagged(160), tagged(20), tagged(100)), ROWS, (1, 5), (1, 5))


# --- how weights are stored ------------------------------------------------------------------------------

CONV = "Convolution layer 1 1 x y 0=4 1=3 4=1 5=1 6=216"


def test_float16_weights(tmp_path: Path) -> None:
    half = np.random.default_rng(0).uniform(-1, 1, 216).astype("<f2").tobytes()
    agree(write(tmp_path, [_input(PICTURE), CONV], bytes.fromhex("476b3001"), half, f32(4)), PICTURE)


def test_weights_from_a_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table, codes = rng.uniform(-1, 1, 256).astype("<f4").tobytes(), rng.integers(0, 256, 216).astype("u1")
    path = write(tmp_path, [_input(PICTURE), CONV], b"\x01\x02\x03\x04", table, codes.tobytes(), f32(4))
    agree(path, PICTURE)


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("Convolution layer 1 1 x y 0=4 1=3 4=1 5=1 6=216 8=2", 4),
        ("ConvolutionDepthWise layer 1 1 x y 0=6 1=3 4=1 5=1 6=54 7=6 8=1", 6),
        ("InnerProduct layer 1 1 x y 0=4 1=1 2=1728 8=2", 4),
    ],
)
def test_weights_of_8_bits(line: str, count: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    size = int(next(w for w in line.split() if w.startswith(("6=", "2=1")))[2:])
    codes = rng.integers(-127, 128, size).astype("i1").tobytes()
    codes += bytes(-len(codes) % 4)
    scales = rng.uniform(50, 100, count).astype("<f4").tobytes()
    path = write(
        tmp_path,
        [_input(PICTURE), line],
        bytes.fromhex("384b0d00"),
        codes,
        f32(count),
        scales,
        np.array([60], "<f4").tobytes(),
    )
    agree(path, PICTURE, within=2e-2)  # NCNN rounds halves away from zero, and depthwise sums in between


# --- what is not understood ------------------------------------------------------------------------------


def test_everything_that_cannot_be_represented_is_listed(tmp_path: Path) -> None:
    lines = [_input(PICTURE), "Split s 1 3 x a b c", "Spectrogram one 1 1 a d 0=4"]
    lines += ["BinaryOp two 1 1 b e 0=99 1=1", "ReLU three 1 1 c f 5=3"]
    with pytest.raises(UnsupportedError) as caught:
        parser.load(write(tmp_path, lines))
    text = str(caught.value)
    assert all(part in text for part in ("Spectrogram", "operation 99", "parameter 5"))


def test_kinds_that_ncnn_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="YoloV5Focus"):
        parser.load(write(tmp_path, [_input(PICTURE), "YoloV5Focus focus 1 1 x y"]))
