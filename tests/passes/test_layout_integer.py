import numpy as np

from mmconvert.interpreter.session import run
from mmconvert.ir.types import Layout
from mmconvert.passes.layout.assign import assign_layout
from tests.cases.quantize import CASES


def test_integer_convolutions_take_their_weights_along() -> None:
    for case in CASES:
        if case.op.name == "ConvInteger":
            graph, feeds = case.build()
            wanted = run(graph, feeds)
            assign_layout(Layout.NHWC)(graph)
            assert any(getattr(node.op, "layout", None) is Layout.NHWC for node in graph)
            np.testing.assert_array_equal(run(graph, feeds)["y0"], wanted["y0"])
