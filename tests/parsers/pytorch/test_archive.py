"""`.pt2` files: read without torch, weights in place, and what damaged and hostile ones give."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import mmconvert
from mmconvert.errors import InvalidModelError, UnsupportedError, UsageError
from mmconvert.parsers.pytorch import load, sniff


class Net(nn.Module):
    """Two layers that share a weight, and a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.second(self.first(x).relu()) + torch.tensor([1.0, 2.0, 3.0, 4.0])
        return made


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    batch = torch.export.Dim("batch")
    program = torch.export.export(
        Net().eval(), (torch.zeros(2, 4),), dynamic_shapes=({0: batch},), strict=False
    )
    torch.export.save(program, tmp_path / "net.pt2")
    return tmp_path / "net.pt2"


def rewritten(
    path: Path, change: Callable[[str, bytes], bytes | None], method: int = zipfile.ZIP_STORED
) -> Path:
    """The archive with its members changed; None leaves one out."""
    target = path.with_name("changed.pt2")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w", method) as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return target


def described(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The archive with its program's description changed."""

    def edit(name: str, content: bytes) -> bytes:
        if not name.endswith("models/model.json"):
            return content
        about = json.loads(content)
        change(about)
        return json.dumps(about).encode()

    return rewritten(path, edit)


def test_read_without_torch(archive: Path) -> None:
    code = f"""
import sys
sys.modules["torch"] = None
import mmconvert
print(mmconvert.load({str(archive)!r}).graph, end="")
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found == str(mmconvert.load(archive).graph)
    assert 'Gemm(x, %c1, %c2) {transpose_b=True}  # aten.linear.default "first"' in found


def test_tied_weights_are_one_constant(archive: Path) -> None:
    names = [value.name for value in load(archive).graph.constants()]
    assert names == ["first.weight", "first.bias", "second.bias", "lifted_tensor_0"]


def test_weights_are_views_of_the_file(archive: Path) -> None:
    weight = next(load(archive).graph.constants()).constant
    assert weight is not None
    array = weight.numpy()
    assert not array.flags.owndata
    assert not array.flags.writeable
    np.testing.assert_array_equal(
        array, torch.export.load(archive).state_dict["first.weight"].detach().numpy()
    )


def test_packed_members_are_read(archive: Path) -> None:
    packed = rewritten(archive, lambda _, content: content, zipfile.ZIP_DEFLATED)
    assert str(load(packed).graph) == str(load(archive).graph)


def test_a_zip_of_something_else_is_not_taken_for_one(tmp_path: Path) -> None:
    path = tmp_path / "other.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    assert not sniff(path, path.read_bytes()[:64])


def test_truncated(archive: Path) -> None:
    content = archive.read_bytes()
    for size in (30, len(content) // 2, len(content) - 10):
        archive.write_bytes(content[:size])
        with pytest.raises(InvalidModelError):
            load(archive)


def test_missing_weight(archive: Path) -> None:
    path = rewritten(archive, lambda name, content: None if name.endswith("weight_1") else content)
    with pytest.raises(InvalidModelError, match="weight_1"):
        load(path)


def test_short_weight(archive: Path) -> None:
    path = rewritten(archive, lambda name, content: content[:8] if name.endswith("weight_0") else content)
    with pytest.raises(InvalidModelError, match="has 2 elements"):
        load(path)


def test_negative_stride(archive: Path) -> None:
    def edit(name: str, content: bytes) -> bytes:
        return content.replace(b'"strides": [{"as_int": 4}', b'"strides": [{"as_int": -4}')

    with pytest.raises(InvalidModelError, match="elements"):
        load(rewritten(archive, edit))


def test_pickled_weight_is_refused(archive: Path) -> None:
    def edit(name: str, content: bytes) -> bytes:
        return content.replace(b'"use_pickle": false', b'"use_pickle": true')

    with pytest.raises(UnsupportedError, match="pickled"):
        load(rewritten(archive, edit))


def test_big_endian_is_refused(archive: Path) -> None:
    path = rewritten(archive, lambda name, content: b"big" if name.endswith("byteorder") else content)
    with pytest.raises(UnsupportedError, match="most significant byte"):
        load(path)


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"schema_version": {"major": 8}}', b"[" * 100_000])
def test_no_description(archive: Path, content: bytes) -> None:
    path = rewritten(archive, lambda name, old: content if name.endswith("model.json") else old)
    with pytest.raises(InvalidModelError):
        load(path)


def test_other_version_of_the_schema(archive: Path) -> None:
    def edit(about: dict[str, Any]) -> None:
        about["schema_version"]["major"] = 5

    with pytest.raises(UnsupportedError, match="version 5"):
        load(described(archive, edit))


def test_unknown_operators_are_listed_with_their_places(archive: Path) -> None:
    def edit(about: dict[str, Any]) -> None:
        for node in about["graph_module"]["graph"]["nodes"]:
            if "linear" in node["target"]:
                node["target"] = "torch.ops.mylib.linear.default"

    with pytest.raises(UnsupportedError) as caught:
        load(described(archive, edit))
    (problem,) = caught.value.problems
    assert problem.what == "operator mylib.linear.default"
    assert [place.split(":")[0] for place in problem.where] == [
        "first (test_archive.py",
        "second (test_archive.py",
    ]
    assert "run_decompositions" in problem.hint


def test_arguments_that_no_rule_reads_are_refused(archive: Path) -> None:
    def edit(about: dict[str, Any]) -> None:
        node = next(n for n in about["graph_module"]["graph"]["nodes"] if "relu" in n["target"])
        node["inputs"].append({"name": "sharpness", "arg": {"as_int": 3}, "kind": 1})

    with pytest.raises(UnsupportedError, match="arguments not understood: sharpness"):
        load(described(archive, edit))


def test_a_shape_that_is_not_what_the_operator_makes(archive: Path) -> None:
    def edit(about: dict[str, Any]) -> None:
        about["graph_module"]["graph"]["tensor_values"]["relu"]["sizes"][1] = {"as_int": 5}

    with pytest.raises(InvalidModelError, match="the program says"):
        load(described(archive, edit))


def test_an_extent_that_is_no_expression(archive: Path) -> None:
    for text in ("Symbol('s0'", "__import__('os').system('true')", "Add(" * 5000):

        def edit(about: dict[str, Any], text: str = text) -> None:
            size = about["graph_module"]["graph"]["tensor_values"]["x"]["sizes"][0]
            size["as_expr"]["expr_str"] = text

        with pytest.raises((InvalidModelError, UnsupportedError)):
            load(described(archive, edit))


def test_unknown_program(archive: Path) -> None:
    with pytest.raises(UsageError, match="no program 'other'"):
        load(archive, model="other")


def test_files_of_earlier_versions_are_refused_with_a_way_out(tmp_path: Path) -> None:
    path = tmp_path / "old.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("serialized_exported_program.json", "{}")
    with pytest.raises(UnsupportedError, match=r"(?s)torch 2\.5 or earlier.*export the module again"):
        load(path)
