"""Whole conversions of files that are no models, lie about themselves, or want something done."""

from __future__ import annotations

import io
import itertools
import json
import resource
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import mmconvert
from mmconvert.errors import InvalidModelError, MMConvertError, UnsupportedError, UsageError
from tests import digits

TARGETS = ("onnx", "tflite", "mmir")
SUFFIXES = (".onnx", ".keras", ".h5")


def refused(source: Path, folder: Path, error: type[MMConvertError], match: str) -> MMConvertError:
    """The error that converting ``source`` gives; nothing may be written for any target."""
    folder.mkdir(exist_ok=True)
    for target in TARGETS:
        with pytest.raises(error, match=match) as caught:
            mmconvert.convert(source, folder / f"m.{target}")
        assert not list(folder.iterdir())
    return caught.value


@pytest.fixture
def little_memory() -> Iterator[None]:
    """No more than 3 GB of address space beyond what is in use."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (3 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


# --- no models ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".bin", ""])
@pytest.mark.parametrize(
    "content",
    [
        b"a text that somebody wrote\n" * 100,
        b"\0" * 5000,
        b"PK\x03\x04" + b"\0" * 100,
        b"\x89HDF\r\n\x1a\n" + b"\0" * 100,
        b"\x08\x09",
        bytes(range(256)) * 20,
    ],
)
def test_files_that_are_no_models(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"source{suffix}"
    path.write_bytes(content)
    refused(path, tmp_path / "out", InvalidModelError, "source")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_empty_files(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"source{suffix}"
    path.touch()
    refused(path, tmp_path / "out", InvalidModelError, "the file is empty")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_folders(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"source{suffix}"
    path.mkdir()
    refused(path, tmp_path / "out", InvalidModelError, "or it is damaged")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_missing_files(suffix: str, tmp_path: Path) -> None:
    refused(tmp_path / f"source{suffix}", tmp_path / "out", UsageError, "No such file")


@pytest.mark.parametrize("format", ["keras", "onnx", "h5"])
def test_one_format_under_the_name_of_another(format: str, samples: Path, tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        path = tmp_path / f"source{suffix}"
        shutil.copy(samples / f"digits.{format}", path)
        assert mmconvert.convert(path, tmp_path / "m.tflite", verify=False).size > 30_000


def test_a_forced_format_that_is_wrong(samples: Path, tmp_path: Path) -> None:
    for forced, format in (("keras", "onnx"), ("onnx", "keras"), ("mmir", "keras")):
        with pytest.raises(InvalidModelError):
            mmconvert.convert(samples / f"digits.{format}", tmp_path / "m.onnx", source_format=forced)
    assert not list(tmp_path.iterdir())


# --- ONNX --------------------------------------------------------------------------------------------------


def model_of(
    *nodes: onnx.NodeProto, weights: tuple[TensorProto, ...] = (), shape: Any = (4,)
) -> onnx.ModelProto:
    """A model from x to y."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    graph = helper.make_graph(list(nodes), "g", ends[:1], ends[1:], list(weights))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def scale(**fields: Any) -> onnx.ModelProto:
    """A model that multiplies by a weight that says ``fields`` of itself."""
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT)
    weight.dims.extend(fields.pop("dims", (4,)))
    for key, value in fields.pop("external", {}).items():
        weight.external_data.add(key=key, value=str(value))
        weight.data_location = TensorProto.EXTERNAL
    for key, value in fields.items():
        setattr(weight, key, value)
    return model_of(helper.make_node("Mul", ["x", "w"], ["y"]), weights=(weight,))


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("dims", [(1 << 60,), (1 << 20, 1 << 40), (1 << 62, 4), (-1,), (5,)])
def test_a_tensor_that_is_not_as_large_as_it_says(dims: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(scale(dims=dims, raw_data=b"\0" * 16), path)
    refused(path, tmp_path / "out", InvalidModelError, "w")


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("kind", ["ConstantOfShape", "Expand", "Tile", "Range", "Resize"])
def test_operators_that_make_something_enormous(kind: str, tmp_path: Path) -> None:
    sizes = numpy_helper.from_array(np.array([1 << 59], np.int64), "sizes")
    nodes = {
        "ConstantOfShape": [helper.make_node("ConstantOfShape", ["sizes"], ["h"])],
        "Expand": [
            helper.make_node("Slice", ["x", "zero", "one"], ["s"]),
            helper.make_node("Expand", ["s", "sizes"], ["h"]),
        ],
        "Tile": [helper.make_node("Tile", ["x", "sizes"], ["h"])],
        "Range": [
            helper.make_node("Squeeze", ["sizes"], ["limit"]),
            helper.make_node("Squeeze", ["zero"], ["start"]),
            helper.make_node("Squeeze", ["one"], ["delta"]),
            helper.make_node("Range", ["start", "limit", "delta"], ["r"]),
            helper.make_node("Cast", ["r"], ["h"], to=TensorProto.FLOAT),
        ],
        "Resize": [helper.make_node("Resize", ["x", "", "", "sizes"], ["h"], mode="nearest")],
    }[kind]
    small = [numpy_helper.from_array(np.array([v], np.int64), n) for n, v in (("zero", 0), ("one", 1))]
    total = helper.make_node("ReduceSum", ["h"], ["y"], keepdims=1)
    path = tmp_path / "m.onnx"
    onnx.save(model_of(*nodes, total, weights=(sizes, *small), shape=(1,) if kind != "Tile" else (4,)), path)
    for target in TARGETS:
        with pytest.raises(MMConvertError) as caught:
            mmconvert.convert(path, tmp_path / f"out.{target}")
        assert caught.value.exit_code in (3, 4)
    assert not list(tmp_path.glob("out*"))


def external(location: str) -> onnx.ModelProto:
    return scale(external={"location": location, "offset": 0, "length": 16})


def test_values_in_other_files(tmp_path: Path) -> None:
    inside, outside = tmp_path / "model", tmp_path / "secret.bin"
    inside.mkdir()
    outside.write_bytes(np.arange(4, dtype=np.float32).tobytes())
    shutil.copy(outside, inside / "weights.bin")
    (inside / "link.bin").symlink_to(outside)
    (inside / "sub").symlink_to(tmp_path)
    path = inside / "m.onnx"
    onnx.save(external("weights.bin"), path)
    assert mmconvert.convert(path, tmp_path / "fine.onnx").passed
    for location in (str(outside), "../secret.bin", "link.bin", "sub/secret.bin", "sub/../../secret.bin", ""):
        onnx.save(external(location), path)
        refused(path, tmp_path / "out", InvalidModelError, "w")
    onnx.save(external("none.bin"), path)
    refused(
        path,
        tmp_path / "out",
        InvalidModelError,
        r"none\.bin.*\n.*hint: keep the files of the model together",
    )
    (inside / "weights.bin").write_bytes(b"\0" * 8)
    onnx.save(external("weights.bin"), path)
    refused(path, tmp_path / "out", InvalidModelError, "has 8 bytes")


def test_unknown_operators_are_listed_all_at_once(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Teleport", ["x"], ["a"], name="first"),
        helper.make_node("Levitate", ["a"], ["b"], name="second"),
        helper.make_node("Relu", ["b"], ["c"], name="fine"),
        helper.make_node("Teleport", ["c"], ["d"], name="third"),
        helper.make_node("Fancy", ["d"], ["y"], name="fourth", domain="com.example"),
    ]
    onnx.save(model_of(*nodes), tmp_path / "m.onnx")
    error = refused(tmp_path / "m.onnx", tmp_path / "out", UnsupportedError, ".")
    assert isinstance(error, UnsupportedError)
    assert len(error.problems) == 3
    text = str(error)
    for part in ("Teleport", "(2x)", "first", "third", "Levitate", "second", "Fancy", "fourth"):
        assert part in text
    assert "fine" not in text


def test_a_model_that_goes_in_circles(tmp_path: Path) -> None:
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    onnx.save(model_of(*nodes, helper.make_node("Relu", ["b"], ["y"])), tmp_path / "m.onnx")
    refused(tmp_path / "m.onnx", tmp_path / "out", InvalidModelError, ".")


def test_a_model_without_outputs(tmp_path: Path) -> None:
    model = model_of(helper.make_node("Relu", ["x"], ["y"]))
    del model.graph.output[:]
    onnx.save(model, tmp_path / "m.onnx")
    refused(tmp_path / "m.onnx", tmp_path / "out", InvalidModelError, "no output")


def test_five_thousand_nodes_deep(tmp_path: Path) -> None:
    """Nothing recurses over the length of a graph."""
    names = ["x", *(f"v{i}" for i in range(4999)), "y"]
    nodes = [helper.make_node("Neg", [a], [b]) for a, b in itertools.pairwise(names)]
    onnx.save(model_of(*nodes), tmp_path / "m.onnx")
    assert mmconvert.convert(tmp_path / "m.onnx", tmp_path / "out.tflite").passed


# --- Keras -------------------------------------------------------------------------------------------------


def edited(path: Path, edit: Callable[[dict[str, Any]], None]) -> Path:
    """The digit classifier with its config changed."""
    with zipfile.ZipFile(digits.KERAS) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            if info.filename == "config.json":
                config = json.loads(data)
                edit(config)
                data = json.dumps(config).encode()
            new.writestr(info.filename, data)
    return path


def layer(config: dict[str, Any], name: str) -> dict[str, Any]:
    return next(found for found in config["config"]["layers"] if found["config"]["name"] == name)


def test_unknown_layers_are_listed_all_at_once(tmp_path: Path) -> None:
    def edit(config: dict[str, Any]) -> None:
        layer(config, "stem_relu")["class_name"] = "Teleport"
        layer(config, "dropout")["class_name"] = "Levitate"

    error = refused(edited(tmp_path / "m.keras", edit), tmp_path / "out", UnsupportedError, "not supported")
    assert isinstance(error, UnsupportedError)
    assert len(error.problems) == 2
    assert "Teleport" in str(error)
    assert "Levitate" in str(error)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    """What Keras itself would unmarshal and call."""
    import base64
    import marshal

    marker = tmp_path / "executed"
    code = compile(f"open({str(marker)!r}, 'w')", "evil", "eval")
    source = base64.b64encode(marshal.dumps(code)).decode()

    def edit(config: dict[str, Any]) -> None:
        target = layer(config, "dropout")
        target["class_name"] = "Lambda"
        function = {"class_name": "__lambda__", "config": {"code": source, "defaults": None, "closure": None}}
        target["config"] = {
            "name": "dropout",
            "trainable": True,
            "dtype": "float32",
            "function": function,
            "arguments": {},
        }

    error = refused(edited(tmp_path / "m.keras", edit), tmp_path / "out", UnsupportedError, "Lambda")
    assert "its Python code is not run" in str(error)
    assert not marker.exists()


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("member", ["config.json", "metadata.json", "model.weights.h5"])
def test_a_member_that_expands_to_gigabytes(member: str, tmp_path: Path) -> None:
    """5 GB of zeros in 5 MB; the archive is put together without making them."""
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(digits.KERAS) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            if info.filename != member:
                new.writestr(info.filename, old.read(info))
        with new.open(zipfile.ZipInfo(member), "w", force_zip64=True) as file:
            file.write(b"{}")
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 10 : entry + 12] = (8).to_bytes(2, "little")  # said to be deflated
    data[entry + 24 : entry + 28] = (0xFFFFFFF0).to_bytes(4, "little")  # to 4 GB
    path.write_bytes(data)
    refused(path, tmp_path / "out", InvalidModelError, "would expand|is said to have")


@pytest.mark.usefixtures("little_memory")
def test_a_real_bomb(tmp_path: Path) -> None:
    """The directory lies: what is said to be a thousand bytes expands to 100 MB of JSON."""
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        with new.open("config.json", "w") as file:
            for _ in range(100):
                file.write(b" " * (1 << 20))
        new.writestr("metadata.json", "{}")
        new.writestr("model.weights.h5", b"")
    assert path.stat().st_size < 1_000_000
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = (1000).to_bytes(4, "little")
    path.write_bytes(data)
    refused(path, tmp_path / "out", InvalidModelError, ".")


def test_json_that_is_nested_too_deeply(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(digits.KERAS) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            new.writestr(info, b"[" * 200_000 if info.filename == "config.json" else old.read(info))
    refused(path, tmp_path / "out", InvalidModelError, ".")


@pytest.mark.parametrize("value", [-1, 1 << 70, 1.5, "many", None, [], {}, 1e400, True])
@pytest.mark.parametrize(
    ("name", "key"), [("stem_conv", "filters"), ("pool", "pool_size"), ("probabilities", "units")]
)
def test_attributes_that_make_no_sense(name: str, key: str, value: Any, tmp_path: Path) -> None:
    def edit(config: dict[str, Any]) -> None:
        layer(config, name)["config"][key] = value

    path = edited(tmp_path / "m.keras", edit)
    with pytest.raises(MMConvertError) as caught:
        mmconvert.convert(path, tmp_path / "m.onnx")
    assert caught.value.exit_code in (3, 4)
    assert not (tmp_path / "m.onnx").exists()


# --- weights that are not numbers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "said"), [(np.nan, "contains NaN"), (np.inf, "contains infinite elements")]
)
def test_weights_that_are_not_finite_are_converted_with_a_warning(
    value: float, said: str, samples: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    model = onnx.load(samples / "digits.onnx")
    gemm = next(n for n in model.graph.node if n.op_type == "Gemm")
    weight = next(w for w in model.graph.initializer if w.name == gemm.input[1])
    values = numpy_helper.to_array(weight).copy()
    values.flat[7] = value
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(model, tmp_path / "m.onnx")
    for target in TARGETS:
        report = mmconvert.convert(tmp_path / "m.onnx", tmp_path / f"out.{target}")
        assert len(report.warnings) == 1
        assert said in report.warnings[0]
        assert "probabilities" in report.warnings[0]
        assert report.passed, report.verdict
    assert not recwarn.list


def test_a_damaged_weight_is_found_before_anything_is_written(samples: Path, tmp_path: Path) -> None:
    """HDF5 chunks are read when they are needed: then it must still be an error about the file."""
    buffer = io.BytesIO()
    h5py = pytest.importorskip("h5py")
    with h5py.File(samples / "digits.h5") as old, h5py.File(buffer, "w") as new:
        for key, value in old.attrs.items():
            new.attrs[key] = value
        old.copy("model_weights", new)

        def pack(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and item.shape == (256, 10):
                values = item[()]
                parent, attributes = item.parent, dict(item.attrs)
                leaf = name.rsplit("/", 1)[-1]
                del parent[leaf]
                made = parent.create_dataset(leaf, data=values, chunks=(64, 10), compression="gzip")
                made.attrs.update(attributes)

        items: list[tuple[str, Any]] = []
        new["model_weights"].visititems(lambda n, i: items.append((n, i)))
        for name, item in items:
            pack(name, item)
    data = bytearray(buffer.getvalue())
    place = data.index(b"\x78", data.index(b"TREE"))  # somewhere in a packed chunk
    path = tmp_path / "m.h5"
    path.write_bytes(data)
    mmconvert.convert(path, tmp_path / "fine.onnx")
    starts = [
        i for i in range(place, len(data) - 1) if data[i : i + 2] in (b"\x78\x5e", b"\x78\x9c", b"\x78\x01")
    ]
    for start in starts:
        data[start + 10 : start + 40] = b"\xff" * 30
    path.write_bytes(data)
    assert starts
    refused(path, tmp_path / "out", InvalidModelError, ".")


# --- pipes -------------------------------------------------------------------------------------------------


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.onnx")
    command = [sys.executable, "-m", "mmconvert", tmp_path / "pipe.onnx", tmp_path / "m.onnx"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert "neither a file nor a folder" in done.stderr
