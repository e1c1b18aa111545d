"""TorchScript archives: what shapes decide is decided, what data decide stays control flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import mmconvert
from mmconvert.errors import InvalidModelError, MissingDependencyError, UsageError
from mmconvert.ir import ops
from tests.parsers.pytorch import nets

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
X = torch.linspace(-1, 1, 8).reshape(2, 4)


class Branch(nn.Module):
    """Which layer is used, the data decide."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if bool(x.sum() > 0):  # noqa: SIM108
            y = self.up(x)
        else:
            y = self.down(x) - 1
        return y * 2


class Loop(nn.Module):
    """How often, the data decide."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        turns = 0
        while bool(x.abs().sum() < 100.0):
            x = x * 2 + self.fc(x) * 0.1
            turns += 1
        return x, torch.tensor(turns)


class Steps(nn.Module):
    """A recurrence over the second axis."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.zeros(x.size(0), 4)
        for step in range(x.size(1)):
            h = torch.tanh(self.fc(x[:, step]) + h)
        return h


class Lists(nn.Module):
    """Lists, tuples, settings and texts."""

    def forward(self, x: torch.Tensor, mode: str) -> torch.Tensor:
        parts: list[torch.Tensor] = []
        for factor in (1, 2, 3):
            parts.append(x * factor)  # noqa: PERF401
        if mode == "rows":
            return torch.cat(parts, 0)
        return torch.cat(parts, 1).view(x.size(0), -1)


class Counter(nn.Module):
    """Keeps a number."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("n", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.n = self.n + 1
        return x * self.n


class Growing(nn.Module):
    """Keeps what was there before, of which there is nothing at first."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.seen.numel() == 0:
            self.seen = torch.zeros_like(x)
        y = x + self.seen
        self.seen = x * 1.0
        return y


def scripted(path: Path, module: nn.Module) -> Path:
    torch.manual_seed(0)
    torch.jit.save(torch.jit.script(module.eval()), path)
    return path


def run(path: Path, x: torch.Tensor, *examples: str, **more: Any) -> list[Any]:
    model = mmconvert.load(path, examples=list(examples))
    return list(model.run({"x": x.numpy(), **more}).values())


@pytest.mark.parametrize("how", ["script", "trace"])
def test_a_net(how: str, tmp_path: Path) -> None:
    net, x = nets.made(), torch.linspace(-1, 1, 2 * 3 * 64).reshape(2, 3, 8, 8)
    made = torch.jit.script(net) if how == "script" else torch.jit.trace(net, (x,))
    torch.jit.save(made, tmp_path / "net.pt")
    model = mmconvert.load(tmp_path / "net.pt", examples=["batch,3,8,8"])
    assert str(model.graph.inputs[0]) == "<x: f32[batch,3,8,8]>"
    assert {"conv.weight", "norm.running_mean", "fc.bias"} <= {v.name for v in model.graph.constants()}
    found = next(iter(model.run({"x": x.numpy()}).values()))
    np.testing.assert_allclose(found, net(x).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_a_branch_that_data_decide_stays_one(tmp_path: Path) -> None:
    module = Branch()
    path = scripted(tmp_path / "b.pt", module)
    model = mmconvert.load(path, examples=["batch,4"])
    assert [n.op.name for n in model.graph if isinstance(n.op, ops.If)] == ["If"]
    for x in (X + 1, X - 1):
        found = next(iter(model.run({"x": x.numpy()}).values()))
        np.testing.assert_allclose(found, module(x).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_a_loop_that_data_end_stays_one(tmp_path: Path) -> None:
    module = Loop()
    path = scripted(tmp_path / "l.pt", module)
    model = mmconvert.load(path, examples=["2,4"])
    assert any(isinstance(n.op, ops.While) for n in model.graph)
    for x in (X, X * 30, X * 1000):
        found, turns = model.run({"x": x.numpy()}).values()
        expected, count = module(x)
        np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-5, atol=1e-5)
        assert turns == count


@pytest.mark.parametrize(("steps", "word"), [(5, "5"), (80, "80"), (80, "steps@80")])
def test_a_loop_over_an_axis(steps: int, word: str, tmp_path: Path) -> None:
    """Short ones are unrolled; long ones, and those of an open extent, are not."""
    module, x = Steps(), torch.linspace(-1, 1, 2 * steps * 4).reshape(2, steps, 4)
    path = scripted(tmp_path / "s.pt", module)
    model = mmconvert.load(path, examples=[f"2,{word},4"])
    assert any(isinstance(n.op, ops.While) for n in model.graph) == (steps > 64)
    found = next(iter(model.run({"x": x.numpy()}).values()))
    np.testing.assert_allclose(found, module(x).detach().numpy(), rtol=1e-5, atol=1e-5)
    if word.startswith("steps"):
        found = next(iter(model.run({"x": x[:, :7].numpy()}).values()))
        np.testing.assert_allclose(found, module(x[:, :7]).detach().numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", ["rows", "columns"])
def test_settings_are_given_as_values(mode: str, tmp_path: Path) -> None:
    path = scripted(tmp_path / "l.pt", Lists())
    (found,) = run(path, X, "x=2,4", f'mode:="{mode}"')
    np.testing.assert_array_equal(found, Lists()(X, mode).numpy())


def test_what_a_script_keeps_is_state(tmp_path: Path) -> None:
    model = mmconvert.load(scripted(tmp_path / "c.pt", Counter()), examples=["2,4"])
    (state,) = model.states
    assert (state.input, state.output) == ("n", "n_next")
    found = model.run({"x": X.numpy(), "n": np.array([4], np.float32)})
    np.testing.assert_array_equal(found["n_next"], [5])
    np.testing.assert_allclose(found["mul"], 5 * X.numpy())


def test_what_begins_with_another_shape_is_said(tmp_path: Path) -> None:
    path = scripted(tmp_path / "g.pt", Growing())
    model = mmconvert.load(path, examples=["2,4"])
    assert len(model.warnings) == 1
    assert "keeps seen from call to call" in model.warnings[0]
    assert "first call" in model.warnings[0]
    script = torch.jit.load(path)
    script(X)
    script.save(tmp_path / "warm.pt")
    warm = mmconvert.load(tmp_path / "warm.pt", examples=["2,4"])
    (state,) = warm.states
    found = warm.run({"x": X.numpy(), state.input: state.initial.numpy()})
    np.testing.assert_allclose(next(iter(found.values())), script(X).numpy())


def test_no_script_without_examples_or_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = scripted(tmp_path / "c.pt", Counter())
    with pytest.raises(UsageError, match="--input"):
        mmconvert.load(path)
    with pytest.raises(UsageError, match="its own code"):
        mmconvert.load(path, module="a:b", examples=["2,4"])
    with pytest.raises(InvalidModelError, match="cannot export"):
        mmconvert.load(path, examples=["n=2,4"])
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingDependencyError, match=r"mmconvert\[torch\]"):
        mmconvert.load(path, examples=["2,4"])
