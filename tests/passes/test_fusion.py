import pytest

from mmconvert.ir.geometry import Explicit
from mmconvert.passes.fold_affine import fold_affine
from mmconvert.passes.fold_batch_norm import fold_batch_norm
from mmconvert.passes.fuse_pad import fuse_pad
from mmconvert.passes.push_affine import push_affine
from tests.passes.helpers import apply, names

NORM = """%c1: f32[4] = [0.5,1.5,2.0,-1.0]
          %c2: f32[4] = [0.1,0.2,-0.3,0.4]
          %c3: f32[4] = [1.0,-2.0,0.5,0.0]
          %c4: f32[4] = [0.5,1.0,4.0,0.01]"""

CONVS = {
    "Conv NCHW": ("f32[n,2,8,8]", "f32[4,2,3,3]", "Conv", "groups=1 layout=NCHW", "f32[n,4,6,6]", 1),
    "Conv NHWC": ("f32[n,8,8,2]", "f32[4,3,3,2]", "Conv", "groups=1 layout=NHWC", "f32[n,6,6,4]", 3),
    "grouped": ("f32[n,2,8,8]", "f32[4,1,3,3]", "Conv", "groups=2 layout=NCHW", "f32[n,4,6,6]", 1),
    "ConvTranspose NCHW": (
        "f32[n,2,8,8]",
        "f32[2,4,3,3]",
        "ConvTranspose",
        "output_padding=(0,0) groups=1 layout=NCHW",
        "f32[n,4,10,10]",
        1,
    ),
    "ConvTranspose grouped NHWC": (
        "f32[n,8,8,2]",
        "f32[2,3,3,2]",
        "ConvTranspose",
        "output_padding=(0,0) groups=2 layout=NHWC",
        "f32[n,10,10,4]",
        3,
    ),
}


@pytest.mark.parametrize("bias", ["", ", %b"])
@pytest.mark.parametrize("name", CONVS)
def test_batch_norm_folds_into_convolutions(name, bias):
    x, w, op, attributes, out, axis = CONVS[name]
    graph, outcome = apply(
        fold_batch_norm,
        f"""
        graph "g"(x: {x}) -> (y: {out})
          %w: {w} = weight
          %b: f32[4] = [1.0,2.0,3.0,4.0]
          %1 = {op}(x, %w{bias}) {{strides=(1,1) dilations=(1,1) padding=((0,0),(0,0)) {attributes}}}
          {NORM}
          %2 = BatchNorm(%1, %c1, %c2, %c3, %c4) {{epsilon=0.001 axis={axis}}}
          return %2
        """,
        tolerance=1e-6,  # the folded weights are rounded to float32
    )
    assert names(graph) == [op]
    assert outcome.done == 1


@pytest.mark.parametrize(
    "gemm",
    ["", " {transpose_b=True}", " {alpha=2.0}", " {beta=0.5}", " {alpha=3.0 beta=2.0 transpose_b=True}"],
)
def test_batch_norm_folds_into_gemm(gemm):
    w = "f32[4,8]" if "transpose_b" in gemm else "f32[8,4]"
    graph, _ = apply(
        fold_batch_norm,
        f"""
        graph "g"(x: f32[n,8]) -> (y: f32[n,4])
          %w: {w} = weight
          %b: f32[4] = [1.0,2.0,3.0,4.0]
          %1 = Gemm(x, %w, %b){gemm}
          {NORM}
          %2 = BatchNorm(%1, %c1, %c2, %c3, %c4) {{epsilon=0.001 axis=1}}
          return %2
        """,
        tolerance=1e-6,
    )
    assert names(graph) == ["Gemm"]


@pytest.mark.parametrize(
    ("middle", "returned", "reason"),
    [
        ("", "%1, %2", "is used elsewhere"),
        ("axis2", "%2", "does not normalize the output channels"),
    ],
)
def test_batch_norm_declines(middle, returned, reason):
    axis = 2 if middle else 1
    outs = "y: f32[1,4,4,4], z: f32[1,4,4,4]" if "%1" in returned else "y: f32[1,4,4,4]"
    graph, outcome = apply(
        fold_batch_norm,
        f"""
        graph "g"(x: f32[1,2,6,6]) -> ({outs})
          %w: f32[4,2,3,3] = weight
          %1 = Conv(x, %w) {{strides=(1,1) dilations=(1,1) padding=((0,0),(0,0)) layout=NCHW}}
          {NORM}
          %2 = BatchNorm(%1, %c1, %c2, %c3, %c4) {{epsilon=0.001 axis={axis}}}
          return {returned}
        """,
    )
    assert names(graph) == ["Conv", "BatchNorm"]
    assert reason in outcome.declined[0][1]


@pytest.mark.parametrize("step", ["Mul(%1, %c)", "Mul(%c, %1)", "Div(%1, %c)", "Add(%1, %c)", "Sub(%1, %c)"])
@pytest.mark.parametrize(
    "constant", ["f32[] = 2.5", "f32[4,1,1] = [1.0,2.0,3.0,-4.0]", "f32[1,4,1,1] = [1.0,2.0,3.0,-4.0]"]
)
def test_affine_steps_fold_into_convolutions(step, constant):
    graph, _ = apply(
        fold_affine,
        f"""
        graph "g"(x: f32[n,2,6,6]) -> (y: f32[n,4,4,4])
          %w: f32[4,2,3,3] = weight
          %b: f32[4] = [1.0,2.0,3.0,4.0]
          %1 = Conv(x, %w, %b) {{strides=(1,1) dilations=(1,1) padding=((0,0),(0,0)) layout=NCHW}}
          %c: {constant}
          %2 = {step}
          return %2
        """,
        tolerance=1e-6,
    )
    assert names(graph) == ["Conv"]


@pytest.mark.parametrize(
    ("step", "constant"),
    [
        ("Mul(%1, %c)", "f32[1,1,1,4] = [1.0,2.0,3.0,4.0]"),
        ("Sub(%c, %1)", "f32[] = 2.0"),
        ("Div(%c, %1)", "f32[] = 2.0"),
    ],
)
def test_affine_steps_that_are_not_per_channel_stay(step, constant):
    graph, _ = apply(
        fold_affine,
        f"""
        graph "g"(x: f32[1,2,6,6]) -> (y: f32[1,4,4,4])
          %w: f32[4,2,3,3] = weight
          %1 = Conv(x, %w) {{strides=(1,1) dilations=(1,1) padding=((0,0),(0,0)) layout=NCHW}}
          %c: {constant}
          %2 = {step}
          return %2
        """,
    )
    assert len(graph) == 2


def test_affine_chains_merge():
    graph, _ = apply(
        fold_affine,
        """
        graph "g"(x: f32[n,3]) -> (y: f32[n,3])
          %c1: f32[] = 0.00392156862745098
          %1 = Mul(x, %c1)
          %c2: f32[3] = [0.5,0.25,0.125]
          %2 = Div(%1, %c2)
          %c3: f32[3] = [1.0,2.0,3.0]
          %3 = Sub(%2, %c3)
          %c4: f32[] = 4.0
          %4 = Add(%c4, %3)
          return %4
        """,
        tolerance=1e-6,
    )
    assert names(graph) == ["Mul", "Add"]


@pytest.mark.parametrize(
    ("window", "value", "merged"),
    [
        ("Conv(%1, %w) {strides=(2,2) dilations=(1,1) padding=((0,1),(0,0)) layout=NHWC}", "0.0", True),
        (
            "AveragePool(%1) {kernel=(3,3) strides=(2,2) dilations=(1,1) padding=((0,0),(0,0)) layout=NHWC}",
            "0.0",
            True,
        ),
        (
            "AveragePool(%1) {kernel=(3,3) strides=(2,2) dilations=(1,1) padding=((0,1),(0,0)) layout=NHWC}",
            "0.0",
            False,
        ),
        (
            "MaxPool(%1) {kernel=(3,3) strides=(2,2) dilations=(1,1) padding=((0,0),(0,0)) layout=NHWC}",
            "-inf",
            True,
        ),
        (
            "MaxPool(%1) {kernel=(3,3) strides=(2,2) dilations=(1,1) padding=((0,0),(0,0)) layout=NHWC}",
            "0.0",
            False,
        ),
        ("Conv(%1, %w) {strides=(2,2) dilations=(1,1) padding=same layout=NHWC}", "0.0", False),
        ("Conv(%1, %w) {strides=(2,2) dilations=(1,1) padding=((0,0),(0,0)) layout=NHWC}", "1.0", False),
    ],
)
def test_padding_moves_into_windows(window, value, merged):
    out = {"Conv": 5, "Aver": 2, "MaxP": 2}[window[:4]]
    pads, same = "((0,0),(1,2),(0,1),(0,0))", "same" in window
    height = 5 if same else 4 + ("(0,1)" in window)
    width = 5 if same else 4
    graph, outcome = apply(
        fuse_pad,
        f"""
        graph "g"(x: f32[1,7,8,2]) -> (y: f32[1,{height},{width},{out}])
          %w: f32[5,3,3,2] = weight
          %1 = Pad(x) {{pads={pads} mode=constant value={value}}}
          %2 = {window}
          return %2
        """,
    )
    assert names(graph) == ([window[: window.index("(")]] if merged else ["Pad", window[: window.index("(")]])
    if merged:
        (node,) = graph
        extra = 1 if "(0,1)" in window else 0
        assert node.op.padding == Explicit(((1, 2 + extra), (0, 1)))
    else:
        assert outcome.declined


def test_padding_that_others_read_is_kept():
    graph, _ = apply(
        fuse_pad,
        """
        graph "g"(x: f32[1,6,6,2]) -> (y: f32[1,6,6,5], z: f32[1,8,8,2])
          %w: f32[5,3,3,2] = weight
          %1 = Pad(x) {pads=((0,0),(1,1),(1,1),(0,0)) mode=constant value=0.0}
          %2 = Conv(%1, %w) {strides=(1,1) dilations=(1,1) padding=((0,0),(0,0)) layout=NHWC}
          return %2, %1
        """,
    )
    assert names(graph) == ["Pad", "Conv"]


@pytest.mark.parametrize(
    ("op", "layout", "x", "w", "vector"),
    [
        ("Conv", "groups=1 layout=NCHW", "f32[n,2,6,6]", "f32[4,2,3,3]", "f32[2,1,1]"),
        ("Conv", "groups=1 layout=NHWC", "f32[n,6,6,2]", "f32[4,3,3,2]", "f32[2]"),
        ("Conv", "groups=2 layout=NCHW", "f32[n,4,6,6]", "f32[4,2,3,3]", "f32[4,1,1]"),
        ("Conv", "groups=2 layout=NHWC", "f32[n,6,6,4]", "f32[4,3,3,2]", "f32[4]"),
    ],
)
def test_a_norm_before_a_relu_scales_the_padded_convolution_behind_it(op, layout, x, w, vector):
    channels = 4 if "4" in vector else 2
    numbers = {2: "[0.5,2.0]", 4: "[0.5,2.0,1.5,3.0]"}[channels]
    shifts = {2: "[0.1,-0.2]", 4: "[0.1,-0.2,0.3,-0.4]"}[channels]
    out = "f32[n,4,6,6]" if "NCHW" in layout else "f32[n,6,6,4]"
    graph, outcome = apply(
        push_affine,
        f"""
        graph "g"(x: {x}) -> (y: {out}, z: {out})
          %k: {vector} = {numbers}
          %c: {vector} = {shifts}
          %w: {w} = weight
          %v: {w} = weight
          %1 = Mul(x, %k)
          %2 = Add(%1, %c)
          %3 = Relu(%2)
          %4 = {op}(%3, %w) {{strides=(1,1) dilations=(1,1) padding=same {layout}}}
          %5 = {op}(%3, %v) {{strides=(1,1) dilations=(1,1) padding=same {layout}}}
          return %4, %5
        """,
        tolerance=1e-6,
    )
    assert names(graph) == ["Add", "Relu", op, op]
    assert outcome.done == 1


@pytest.mark.parametrize("bias", ["", ", %b"])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_constant_before_a_gemm_goes_into_its_bias(bias, transposed):
    graph, outcome = apply(
        push_affine,
        f"""
        graph "g"(x: f32[n,3]) -> (y: f32[n,4])
          %k: f32[3] = [0.5,2.0,-1.0]
          %c: f32[3] = [0.1,-0.2,5.0]
          %w: {"f32[4,3]" if transposed else "f32[3,4]"} = weight
          %b: f32[4] = [1.0,2.0,3.0,4.0]
          %1 = Div(x, %k)
          %2 = Sub(%1, %c)
          %3 = Gemm(%2, %w{bias}) {{transpose_b={transposed}}}
          return %3
        """,
        tolerance=1e-6,
    )
    assert names(graph) == ["Gemm"]
    assert outcome.done == 2


def test_a_constant_before_a_product_goes_into_the_sum_behind_it():
    graph, _ = apply(
        push_affine,
        """
        graph "g"(x: f32[n,5,3]) -> (y: f32[n,5,4])
          %k: f32[3] = [0.5,2.0,-1.0]
          %c: f32[3] = [0.1,-0.2,5.0]
          %w: f32[3,4] = weight
          %b: f32[4] = [1.0,2.0,3.0,4.0]
          %1 = Mul(x, %k)
          %2 = Add(%1, %c)
          %3 = MatMul(%2, %w)
          %4 = Add(%3, %b)
          return %4
        """,
        tolerance=1e-6,
    )
    assert names(graph) == ["MatMul", "Add"]


def test_a_constant_before_a_convolution_without_padding_goes_into_its_bias():
    graph, _ = apply(
        push_affine,
        """
        graph "g"(x: f32[n,6,6,2]) -> (y: f32[n,4,4,4])
          %c1: f32[] = 127.5
          %c2: f32[2] = [0.25,-0.5]
          %w: f32[4,3,3,2] = weight
          %1 = Div(x, %c1)
          %2 = Sub(%1, %c2)
          %3 = Conv(%2, %w) {strides=(1,1) dilations=(1,1) padding=((0,0),(0,0)) groups=1 layout=NHWC}
          return %3
        """,
        tolerance=1e-6,
    )
    assert names(graph) == ["Conv"]


def test_a_number_passes_a_product_of_two_values():
    graph, _ = apply(
        push_affine,
        """
        graph "g"(x: f32[n,6,6,2], gate: f32[n,1,1,2]) -> (y: f32[n,6,6,4])
          %c: f32[] = 0.25
          %w: f32[4,1,1,2] = weight
          %1 = Mul(gate, %c)
          %2 = Mul(x, %1)
          %3 = Conv(%2, %w) {strides=(1,1) dilations=(1,1) padding=same groups=1 layout=NHWC}
          return %3
        """,
        tolerance=1e-6,
    )
    assert names(graph) == ["Mul", "Conv"]


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ("%1 = Mul(x, %k)\n%2 = Relu(%1)", "a factor is negative"),
        ("%1 = Mul(x, %tiny)\n%2 = Relu(%1)", "a factor is extreme"),
        ("%1 = Add(x, %k)\n%2 = Relu(%1)", "it is not only read by operators with weights of their own"),
        ("%1 = Mul(x, %k)\n%2 = Sigmoid(%1)", "it is not only read by operators with weights of their own"),
        ("%2 = Add(x, %k)", "a convolution pads, or is in groups"),
        ("%2 = Mul(x, %rows)", "the constant differs along another axis than the channels"),
    ],
)
def test_what_an_affine_step_does_not_pass(steps, reason):
    lines = "\n          ".join(steps.splitlines())
    _, outcome = apply(
        push_affine,
        f"""
        graph "g"(x: f32[n,6,6,2]) -> (y: f32[n,6,6,4])
          %k: f32[2] = [0.5,-2.0]
          %tiny: f32[2] = [0.5,0.000000001]
          %rows: f32[6,1] = [1.0,2.0,3.0,4.0,5.0,6.0]
          %w: f32[4,3,3,2] = weight
          {lines}
          %3 = Conv(%2, %w) {{strides=(1,1) dilations=(1,1) padding=same groups=1 layout=NHWC}}
          return %3
        """,
    )
    assert outcome.done == 0
    assert [r for _, r in outcome.declined] == [reason]


@pytest.mark.parametrize("shared", ["%3, %1", "%3, %4"])
def test_what_is_used_elsewhere_keeps_its_affine_step(shared):
    _, outcome = apply(
        push_affine,
        f"""
        graph "g"(x: f32[n,2]) -> (y: f32[n,4], z: f32[n,{"2" if "%1" in shared else "4"}])
          %k: f32[2] = [0.5,2.0]
          %w: f32[2,4] = weight
          %1 = Mul(x, %k)
          %3 = Gemm(%1, %w)
          %4 = Gemm(x, %w)
          return {shared}
        """,
    )
    assert outcome.done == 0


@pytest.mark.parametrize(("step", "constant"), [("Mul", "[0.5,2.0,-1.0,4.0]"), ("Div", "[0.5,2.0,-1.0,4.0]")])
def test_a_scale_behind_a_biased_product_goes_into_both(step, constant):
    graph, outcome = apply(
        fold_affine,
        f"""
        graph "g"(x: f32[n,5,3]) -> (y: f32[n,5,4])
          %k: f32[4] = {constant}
          %w: f32[3,4] = weight
          %b: f32[4] = [1.0,2.0,3.0,4.0]
          %1 = MatMul(x, %w)
          %2 = Add(%1, %b)
          %3 = {step}(%2, %k)
          return %3
        """,
        tolerance=1e-6,
    )
    assert names(graph) == ["MatMul", "Add"]
    assert outcome.done == 1


def test_an_average_leaves_padding_that_others_need():
    window = "kernel=(3,3) strides=(2,2)"
    graph, outcome = apply(
        fuse_pad,
        f"""
        graph "g"(x: f32[n,6,6,2]) -> (y: f32[n,3,3,2], z: f32[n,8,8,2])
          %1 = Pad(x) {{pads=((0,0),(1,1),(1,1),(0,0)) mode="constant" value=0.0}}
          %2 = AveragePool(%1) {{{window} dilations=(1,1) padding=((0,0),(0,0)) layout=NHWC}}
          %3 = Relu(%1)
          return %2, %3
        """,
    )
    assert names(graph) == ["Pad", "AveragePool", "Relu"]
    assert [reason for _, reason in outcome.declined] == ["others need the padded values"]
