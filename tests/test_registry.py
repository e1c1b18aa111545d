from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from mmconvert import registry
from mmconvert.errors import InvalidModelError, UnsupportedError, UsageError
from mmconvert.registry import FORMATS, find, formats, identify, of_source, of_target

PLUGINS = {
    "mmconvert.parsers": {"ort": "vendor.parser", "onnx": "vendor.other_onnx", "npu": "vendor.npu.parser"},
    "mmconvert.emitters": {"npu": "vendor.npu.emitter"},
    "mmconvert.runtimes": {},
}


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """The formats are found once for each process; here they change."""
    formats.cache_clear()
    yield
    formats.cache_clear()


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    def entry_points(group: str) -> list[EntryPoint]:
        return [EntryPoint(name, value, group) for name, value in PLUGINS[group].items()]

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("onnx", "onnx"),
        ("ONNX", "onnx"),
        (".onnx", "onnx"),
        ("ort", "ort"),
        ("onnxruntime", "onnx"),
        ("litert", "tflite"),
        ("h5", "keras"),
        ("Keras", "keras"),
        ("mmir", "mmir"),
    ],
)
def test_names(name: str, expected: str) -> None:
    assert find(name).name == expected


def test_names_are_told_apart() -> None:
    for kind in ("parser", "emitter"):  # what is read and what is written may share a name
        names = [n for f in FORMATS if getattr(f, kind) for n in (f.name, *f.aliases)]
        assert len(set(names)) == len(names)
    suffixes = [s for f in FORMATS for s in f.suffixes]
    assert len(set(suffixes)) == len(suffixes)


@pytest.mark.parametrize(
    ("name", "guess"), [("tflit", "did you mean tflite?"), ("kears", "did you mean keras?")]
)
def test_misspelled_names(name: str, guess: str) -> None:
    with pytest.raises(UsageError, match=rf"no format '{name}'\n  hint: {guess}".replace("?", r"\?")):
        find(name)


@pytest.mark.parametrize(
    ("path", "expected"), [("m.onnx", "onnx"), ("M.TFLITE", "tflite"), ("a.b.mmir", "mmir")]
)
def test_targets_by_suffix(path: str, expected: str) -> None:
    assert of_target(Path(path)).name == expected


def test_targets_that_are_named() -> None:
    assert of_target(Path("m.bin"), "onnx").name == "onnx"
    assert of_target(Path("m.tflite"), "onnx").name == "onnx"
    with pytest.raises(UnsupportedError, match="can be read, not written"):
        of_target(Path("m.keras"))
    with pytest.raises(UsageError, match="no suffix"):
        of_target(Path("model"))


def test_sources(samples: Path, tmp_path: Path) -> None:
    for format in ("keras", "onnx", "tflite", "mmir"):
        assert of_source(samples / f"digits.{format}").name == format
    (tmp_path / "m.ort").write_bytes(b"\x18\0\0\0ORTM")
    assert identify(tmp_path / "m.ort").name == "ort"
    with pytest.raises(UnsupportedError, match="ORT format cannot be read yet"):
        of_source(tmp_path / "m.ort")
    assert of_source(samples / "digits.keras", "onnx").name == "onnx", "it is forced"
    (tmp_path / "m.pth").write_bytes(b"\x80 something of PyTorch")
    with pytest.raises(InvalidModelError, match="this is no PyTorch model, or it is damaged"):
        of_source(tmp_path / "m.pth")
    (tmp_path / "m.xyz").write_bytes(b"PK\x03\x04 something")
    with pytest.raises(
        InvalidModelError, match=r"this file is no model that mmconvert knows\n  hint: it knows Keras"
    ):
        of_source(tmp_path / "m.xyz")


@pytest.mark.usefixtures("plugins")
def test_entry_points_add_formats() -> None:
    names = ["keras", "onnx", "ort", "tflite", "pytorch", "pytorch-module", "ncnn", "mnn", "mmir"]
    names.append("npu")
    assert [f.name for f in formats()] == names
    assert find("npu").parser == "vendor.npu.parser"
    assert of_target(Path("m.npu")).emitter == "vendor.npu.emitter"


@pytest.mark.usefixtures("plugins")
def test_entry_points_add_what_a_format_lacks_and_replace_nothing(tmp_path: Path) -> None:
    by_name = {f.name: f for f in formats()}
    assert by_name["onnx"] == find("onnx")
    assert by_name["onnx"].parser == "mmconvert.parsers.onnx"
    assert by_name["ort"].parser == "vendor.parser"
    assert by_name["ort"].emitter == "mmconvert.emitters.ort"
    (tmp_path / "m.ort").write_bytes(b"\x18\0\0\0ORTM")
    assert of_source(tmp_path / "m.ort").parser == "vendor.parser"


def test_built_in_formats_need_no_search_for_others(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "formats", lambda: pytest.fail("searched"))
    assert find("onnx").name == "onnx"
    assert of_target(Path("m.tflite")).name == "tflite"
    assert of_source(samples / "digits.onnx").name == "onnx"
