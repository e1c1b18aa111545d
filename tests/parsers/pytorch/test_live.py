"""Modules and exported programs in memory."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from torch import nn

import mmconvert
from mmconvert.errors import InvalidModelError, UnsupportedError, UsageError
from mmconvert.ir import ops
from mmconvert.parsers import pytorch
from mmconvert.parsers.pytorch import table

X = torch.linspace(-1, 1, 8).reshape(2, 4)


class Block(nn.Module):
    """A residual block."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor, scale: torch.Tensor | None = None) -> torch.Tensor:
        y: torch.Tensor = self.drop(self.fc(x)) + x
        return y if scale is None else y * scale


def test_a_module_keeps_its_mode_and_is_read_in_evaluation_mode() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(Block(), Block())
    model[1].eval()
    module = mmconvert.load(model, inputs=X)
    assert [m.training for m in model] == [True, False]
    assert module.warnings == ["the module was in training mode; it was read in evaluation mode"]
    expected = model.eval()(X).detach().numpy()
    np.testing.assert_allclose(module.run({"input": X.numpy()})["add_1"], expected, rtol=1e-6)


def test_nodes_are_called_by_their_modules() -> None:
    module = mmconvert.load(nn.Sequential(Block(), Block()).eval(), inputs=(X,))
    assert [(n.op.name, n.origin.name) for n in module.graph] == [
        ("Gemm", "0.fc"),
        ("Dropout", "0.drop"),
        ("Add", "0.add"),
        ("Gemm", "1.fc"),
        ("Dropout", "1.drop"),
        ("Add", "1.add_1"),
    ]
    assert all(n.origin.file.startswith("test_live.py:") for n in module.graph)


def test_inputs_by_name() -> None:
    module = mmconvert.load(Block().eval(), inputs={"x": X, "scale": torch.ones(4)})
    assert [value.name for value in module.graph.inputs] == ["x", "scale"]


def test_weights_are_torchs_own_memory() -> None:
    model = nn.Linear(4, 4)
    graph = mmconvert.load(model, inputs=X).graph
    weight = next(v for v in graph.constants() if v.name == "weight").constant
    assert weight is not None
    with torch.no_grad():
        model.weight[0, 0] = 42.0
    assert weight.numpy()[0, 0] == 42.0


def test_transposed_weight_is_read_in_its_own_order() -> None:
    model = nn.Linear(3, 4)
    model.weight = nn.Parameter(torch.arange(12.0).reshape(3, 4).t())
    module = mmconvert.load(model, inputs=torch.eye(3))
    expected = model(torch.eye(3)).detach().numpy()
    np.testing.assert_allclose(
        next(iter(module.run({"input": np.eye(3, dtype=np.float32)}).values())), expected
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_floats(dtype: torch.dtype) -> None:
    model = nn.Linear(4, 4).to(dtype)
    module = mmconvert.load(model, inputs=X.to(dtype))
    given = X.numpy().astype(ml_dtypes.bfloat16 if dtype == torch.bfloat16 else np.float16)
    found = next(iter(module.run({"input": given}).values()))
    expected = model(X.to(dtype)).detach().float().numpy()
    np.testing.assert_allclose(found.astype(np.float32), expected, atol=0.02)


def test_an_operator_without_a_rule_is_decomposed_alone() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.gelu(torch.kron(x, x))

    module = mmconvert.load(Net(), inputs=X)
    assert "aten.kron.default" not in table.rules()
    assert any(isinstance(n.op, ops.Gelu) for n in module.graph)
    expected = Net()(X).numpy()
    np.testing.assert_allclose(
        next(iter(module.run({"x": X.numpy()}).values())), expected, rtol=1e-5, atol=1e-6
    )


def test_custom_operators_are_explained_by_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    library = torch.library.Library("mmconvert_test", "FRAGMENT")
    library.define("twice(Tensor x, float more) -> Tensor")
    library.impl("twice", lambda x, more: 2 * x + more, "CompositeExplicitAutograd")
    library.impl("twice", lambda x, more: torch.empty_like(x), "Meta")

    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = torch.ops.mmconvert_test.twice(x, 0.5)
            return y

    with pytest.raises(UnsupportedError, match=r"operator mmconvert_test\.twice\.default"):
        mmconvert.load(Net(), inputs=X)
    monkeypatch.setattr(table, "custom", type(table.custom)("PyTorch"))

    @pytorch.register("mmconvert_test::twice")
    def twice(n: Any, b: Any) -> Any:
        return b(ops.Add(), b(ops.Mul(), n.value("x"), 2.0), n.real("more"))

    found = mmconvert.load(Net(), inputs=X).run({"x": X.numpy()})
    np.testing.assert_allclose(next(iter(found.values())), 2 * X.numpy() + 0.5)


def test_buffers_that_are_written_into_are_state() -> None:
    class Counter(nn.Module):
        count: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.tensor([3.0]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.count.add_(1)
            return x * self.count

    model = Counter()
    module = pytorch.load_object(model, inputs=X)
    (state,) = module.states
    assert (state.input, state.output, state.initial.numpy().tolist()) == ("count", "count_next", [3.0])
    found = mmconvert.load(model, inputs=X).run({"x": X.numpy(), "count": np.array([3.0], np.float32)})
    np.testing.assert_allclose(found["mul"], 4 * X.numpy())
    assert found["count_next"] == 4


def test_branches_and_loops() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x * 2, (x,))
            _, z = torch._higher_order_ops.while_loop(
                lambda i, z: i < 3, lambda i, z: (i + 1, z * 1.5), (torch.tensor(0), y)
            )
            found: torch.Tensor = z
            return found

    module = mmconvert.load(Net(), inputs=X)
    for x in (X + 0.1, X - 1, X + 1):
        found = next(iter(module.run({"x": x.numpy()}).values()))
        np.testing.assert_allclose(found, Net()(x).numpy(), rtol=1e-6)


def test_what_trains_differently_is_read_in_place() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                y = x * 2
            return y + x

    found = mmconvert.load(Net(), inputs=X).run({"x": X.numpy()})
    np.testing.assert_allclose(next(iter(found.values())), 3 * X.numpy())


def test_a_net_trained_with_quantization_in_mind() -> None:
    from torch.ao.quantization import FusedMovingAvgObsFakeQuantize, disable_observer

    net = nn.Sequential(FusedMovingAvgObsFakeQuantize(quant_min=0, quant_max=127), nn.Linear(4, 3)).eval()
    net(X * 2)
    with pytest.raises(UnsupportedError, match="an observer that still changes the scale"):
        mmconvert.load(net, inputs=X)
    net.apply(disable_observer)
    module = mmconvert.load(net, inputs=X)
    assert {"Quantize", "Clip", "Dequantize"} <= {n.op.name for n in module.graph}
    found = next(iter(module.run({"input": X.numpy()}).values()))
    np.testing.assert_allclose(found, net(X).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_extents_are_called_as_the_user_called_them() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return torch.cat([x, y], 1) * torch.arange(x.shape[2])

    batch, rows = torch.export.Dim("batch"), torch.export.Dim("rows", min=1, max=64)
    inputs = (torch.zeros(2, 3, 16), torch.zeros(2, 1, 16))
    shapes = {"y": {0: batch, 2: 8 * rows}, "x": {0: batch, 2: 8 * rows}}
    module = mmconvert.load(Net(), inputs=inputs, dynamic_shapes=shapes)
    assert [str(v.type) for v in module.graph.inputs] == ["f32[batch,3,8*rows]", "f32[batch,1,8*rows]"]
    x, y = np.ones((3, 3, 24), np.float32), np.ones((3, 1, 24), np.float32)
    (found,) = module.run({"x": x, "y": y}).values()
    np.testing.assert_array_equal(found, np.broadcast_to(np.arange(24), (3, 4, 24)))
    with pytest.raises(UsageError, match=r"is f32\[batch,3,8\*rows\]"):
        module.run({"x": x[:, :, :20], "y": y[:, :, :20]})
    automatic = ({0: torch.export.Dim.AUTO}, {0: torch.export.Dim.AUTO})
    unnamed = mmconvert.load(Net(), inputs=inputs, dynamic_shapes=automatic)
    assert str(unnamed.graph.inputs[0].type) == "f32[x_0,3,16]"


def test_means_of_regions_of_an_open_extent() -> None:
    net, rows = nn.AdaptiveAvgPool2d((3, 5)), torch.export.Dim("rows", min=2, max=64)
    module = mmconvert.load(net, inputs=(torch.zeros(2, 3, 14, 16),), dynamic_shapes=({2: rows},))
    (name,) = (value.name for value in module.graph.inputs)
    for extent in (14, 15, 10, 3, 2):
        x = torch.randn(2, 3, extent, 16)
        (found,) = module.run({name: x.numpy()}).values()
        np.testing.assert_allclose(found, net(x).numpy(), rtol=1e-5, atol=1e-6)


def test_dropout_keeps_its_rate() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = nn.functional.dropout(x, 0.25, training=False)
            return nn.functional.dropout(x + 1, 0.5, training=False, inplace=True)

    module = mmconvert.load(Net(), inputs=(X,))
    assert [n.op.rate for n in module.graph if isinstance(n.op, ops.Dropout)] == [0.25, 0.5]


def test_arithmetic_on_extents_that_torch_has_no_spelling_for() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            height = math.ceil(x.shape[2] / 4) * 4
            return nn.functional.interpolate(x, size=(height, 8))

    program = torch.export.export(
        Net(), (torch.ones(1, 2, 10, 4),), dynamic_shapes={"x": {2: torch.export.Dim("rows", min=2)}}
    )
    module = mmconvert.load(program)
    assert str(module.graph.outputs[0].type) == "f32[1,2,4*((x_2+3)//4),8]"
    assert any(node.target is math.ceil for node in program.graph.nodes), "the program stays as it was"
    x = torch.rand(1, 2, 13, 4)
    np.testing.assert_array_equal(next(iter(module.run({"x": x.numpy()}).values())), Net()(x).numpy())


def test_writing_through_a_view_that_may_be_a_copy_is_refused() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x.clone()
            y.t().reshape(8).add_(1)
            return y

    with pytest.raises(UnsupportedError, match=r"writes into a view that aten\.reshape\.default makes"):
        mmconvert.load(Net(), inputs=X)


def test_randomness_is_refused() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.dropout(x, 0.5, training=True) + torch.rand(4)

    with pytest.raises(UnsupportedError) as caught:
        mmconvert.load(Net(), inputs=X)
    assert len(caught.value.problems) == 2


def test_what_cannot_be_exported_says_so() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(InvalidModelError, match="torch cannot export the module"):
        mmconvert.load(Net(), inputs=X)
    with pytest.raises(InvalidModelError, match="torch cannot export the module"):
        mmconvert.load(nn.Linear(3, 3), inputs=X)


def test_wrong_use() -> None:
    with pytest.raises(UsageError, match="needs example inputs"):
        mmconvert.load(nn.Linear(4, 4))
    with pytest.raises(UsageError, match="a Tensor cannot be read"):
        mmconvert.load(X)
    with pytest.raises(UsageError, match="a dict cannot be read"):
        mmconvert.load({})
    program = torch.export.export(nn.Linear(4, 4), (X,), strict=False)
    with pytest.raises(UsageError, match="has its inputs"):
        mmconvert.load(program, inputs=X)
    with pytest.raises(UsageError, match="no name of an operator"):
        pytorch.register("relu")
