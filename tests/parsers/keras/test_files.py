"""Archives, sniffing, and what is refused: by the file, by the config, by a layer."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmconvert.errors import InvalidModelError, MMConvertError, UnsupportedError, UsageError
from mmconvert.parsers import zipped
from mmconvert.parsers.keras import load, sniff

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def small(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    L = keras.layers
    model = keras.Sequential(
        [
            L.Input((4, 4, 1), name="x"),
            L.Conv2D(2, 2, activation="relu", name="conv"),
            L.Flatten(name="flat"),
            L.Dense(2, name="y"),
        ]
    )
    path: Path = tmp_path_factory.mktemp("small") / "small.keras"
    model.save(path)
    model.save(path.with_suffix(".h5"))
    return path


def rewritten(source: Path, target: Path, edit: Edit | None = None, **zipped: Any) -> Path:
    """The archive with an edited config, or packed in another way."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", **zipped) as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "config.json" and edit is not None:
                config = json.loads(data)
                edit(config["config"])
                data = json.dumps(config).encode()
            new.writestr(name, data)
    return target


def layers(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {layer["config"]["name"]: layer for layer in config["layers"]}


def entry(layer: str, **changes: Any) -> Edit:
    """Changes what the config says of a layer."""
    return lambda config: layers(config)[layer].update(changes)


def setting(layer: str, **changes: Any) -> Edit:
    """Changes settings of a layer."""
    return lambda config: layers(config)[layer]["config"].update(changes)


def test_sniff(small: Path, tmp_path: Path) -> None:
    for path in (small, small.with_suffix(".h5")):
        assert sniff(path, path.read_bytes()[:4096])
    other = tmp_path / "other.keras"
    other.write_bytes(b"neither")
    assert not sniff(other, b"neither")
    with zipfile.ZipFile(other, "w") as file:
        file.writestr("config.json", "{}")
    assert not sniff(other, other.read_bytes())
    other.write_bytes(b"PK\x03\x04 and no more")
    assert not sniff(other, other.read_bytes())
    other.write_bytes(b"\x89HDF\r\n\x1a\n and no more")
    assert not sniff(other, other.read_bytes())
    assert not sniff(tmp_path, b"")


def test_no_framework_is_imported(small: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from mmconvert.parsers import keras; "
        f"keras.load(Path({str(small)!r})); "
        "print([name for name in ('keras', 'tensorflow', 'h5py', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_compressed_archives(small: Path, tmp_path: Path) -> None:
    path = rewritten(small, tmp_path / "a.keras", compression=zipfile.ZIP_DEFLATED)
    expected = [value.constant.numpy() for value in load(small).graph.constants() if value.constant]
    found = [value.constant.numpy() for value in load(path).graph.constants() if value.constant]
    assert len(found) == 4
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_stored_weights_stay_in_the_file(small: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.keras"
    path.write_bytes(small.read_bytes())
    kernel = next(v.constant for v in load(path).graph.constants() if v.name == "y/kernel")
    assert kernel is not None
    before = kernel.numpy().copy()
    with path.open("r+b") as file:
        data = file.read()
        file.seek(data.index(before.tobytes()))
        file.write(np.full_like(before, 7).tobytes())
    assert (kernel.numpy() == 7).all()


def test_what_is_no_archive_of_keras(small: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.keras"
    with pytest.raises(UsageError, match="cannot be read"):
        load(path)
    path.write_bytes(b"")
    with pytest.raises(InvalidModelError, match="empty"):
        load(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InvalidModelError, match="does not begin with"):
        load(path)
    with zipfile.ZipFile(small) as old, zipfile.ZipFile(path, "w") as new:
        for name in ("config.json", "metadata.json"):
            new.writestr(name, old.read(name))
        new.writestr("model.weights.npz", b"")
    with pytest.raises(UnsupportedError, match=r"the weights are kept in model\.weights\.npz"):
        load(path)


def test_bombs_are_refused_unread(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipped, "FREE_SIZE", 1 << 16)
    path = tmp_path / "a.keras"
    with zipfile.ZipFile(small) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr("config.json", old.read("config.json"))
        new.writestr("metadata.json", old.read("metadata.json"))
        new.writestr("model.weights.h5", b"\0" * (1 << 20))
    with pytest.raises(InvalidModelError, match="would expand from"):
        load(path)
    monkeypatch.setattr(zipped, "MAX_TEXT", 10)
    with pytest.raises(InvalidModelError, match=r"config\.json is said to have"):
        load(small)


def test_unknown_methods_of_packing(small: Path, tmp_path: Path) -> None:
    path = rewritten(small, tmp_path / "a.keras", compression=zipfile.ZIP_BZIP2)
    with pytest.raises(InvalidModelError, match="compressed by method 12"):
        load(path)


def test_damaged_members(small: Path, tmp_path: Path) -> None:
    whole, path = small.read_bytes(), tmp_path / "a.keras"
    local, central = whole.index(b"PK\x03\x04"), whole.rindex(b"PK\x01\x02")
    encrypted = bytearray(whole)
    encrypted[central + 8] |= 1
    path.write_bytes(encrypted)
    with pytest.raises(InvalidModelError, match=r"model\.weights\.h5 is encrypted"):
        load(path)
    moved = bytearray(whole)
    moved[central + 42 : central + 46] = (local + 1).to_bytes(4, "little")
    path.write_bytes(moved)
    with pytest.raises(InvalidModelError, match=r"model\.weights\.h5 lies outside"):
        load(path)


REFUSED: dict[str, tuple[Edit, str]] = {
    "lambda": (entry("flat", class_name="Lambda"), "Lambda at Lambda 'flat'\n    hint: its Python code"),
    "custom": (
        entry("flat", class_name="Mine", module=None, registered_name="pack>Mine"),
        "pack>Mine at Mine 'flat'\n    hint: the file does not hold the code",
    ),
    "module": (entry("flat", module="mine.layers"), "mine.layers.Flatten at Flatten 'flat'"),
    "setting": (setting("y", new_option=3), "settings that are not understood: new_option"),
    "activation": (setting("y", activation="mine"), "activation 'mine'"),
    "activation object": (
        setting("y", activation={"module": "builtins", "class_name": "function", "config": "mine"}),
        "activation 'mine'",
    ),
    "activation layer": (
        setting("y", activation={"class_name": "Odd", "config": {"trainable": True}}),
        "Odd at Dense 'y'",
    ),
    "padding": (setting("conv", padding="causal"), "padding 'causal'"),
    "quantized": (
        setting(
            "conv", dtype={"class_name": "QuantizedDTypePolicy", "config": {"name": "int8_from_float32"}}
        ),
        "Conv2D: quantized as int8",
    ),
    "text": (setting("x", dtype="string"), "inputs of text at InputLayer 'x'"),
    "sparse": (setting("x", sparse=True), "sparse and ragged inputs"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_what_and_where(name: str, small: Path, tmp_path: Path) -> None:
    edit, says = REFUSED[name]
    with pytest.raises(UnsupportedError) as caught:
        load(rewritten(small, tmp_path / "a.keras", edit))
    assert says in str(caught.value)


def test_all_refusals_come_at_once(small: Path, tmp_path: Path) -> None:
    def edit(config: dict[str, Any]) -> None:
        by_name = layers(config)
        by_name["conv"]["config"]["odd"] = 1
        by_name["flat"]["class_name"] = "Lambda"
        again = copy.deepcopy(by_name["flat"])
        again["config"]["name"] = "again"
        config["layers"].append(again)

    with pytest.raises(UnsupportedError) as caught:
        load(rewritten(small, tmp_path / "a.keras", edit))
    problems = {problem.what: problem.where for problem in caught.value.problems}
    assert problems == {
        "Conv2D: settings that are not understood: odd": ("Conv2D 'conv'",),
        "Lambda": ("Lambda 'flat'", "Lambda 'again'"),
    }


def test_layers_behind_an_unsupported_one_are_looked_at(keras: Any, tmp_path: Path) -> None:
    x = keras.Input((4, 3))
    y = keras.layers.Dense(2, name="dense")(keras.ops.erfinv(x))
    keras.Model(x, y).save(tmp_path / "a.keras")

    def edit(config: dict[str, Any]) -> None:
        layers(config)["dense"]["config"]["odd"] = 1

    with pytest.raises(UnsupportedError) as caught:
        load(rewritten(tmp_path / "a.keras", tmp_path / "b.keras", edit))
    assert [problem.what for problem in caught.value.problems] == [
        "Erfinv",
        "Dense: settings that are not understood: odd",
    ]


def test_subclassed_models_are_refused(small: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(small) as old, zipfile.ZipFile(tmp_path / "a.keras", "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, data.replace(b'"class_name": "Sequential"', b'"class_name": "Mine"'))
    with pytest.raises(UnsupportedError, match="subclassed model Mine"):
        load(tmp_path / "a.keras")


INVALID: dict[str, tuple[Edit, str]] = {
    "no layers": (lambda c: c.update(layers=[]), "the model has no layers"),
    "no list": (lambda c: c.update(layers={"a": 1}), "the model has no layers"),
    "no class": (lambda c: c["layers"][1].pop("class_name"), "a layer has no class name"),
    "no config": (lambda c: c["layers"][1].update(config=None), "Conv2D has no config"),
    "no name": (lambda c: c["layers"][1]["config"].update(name=3), "Conv2D has no name"),
    "same name": (lambda c: c["layers"].append(c["layers"][1]), "two layers are called 'conv'"),
    "missing": (lambda c: layers(c)["y"]["config"].pop("units"), "Dense 'y': the config has no 'units'"),
    "not a number": (setting("y", units="3"), "units = '3' is not an integer"),
    "another number": (setting("y", units=3), "kernel has shape [18, 2] in the file"),
    "count": (setting("y", use_bias=False), "has the variables kernel, and the file 2"),
    "format": (setting("conv", data_format="odd"), "data_format = 'odd'"),
    "stride": (setting("conv", strides=[0, 1]), "should be above 0"),
    "window": (setting("x", batch_shape=[None, 1, 4, 1]), "does not fit"),
    "rank": (setting("x", batch_shape=[None, 4, 1]), "a tensor of rank 4 is needed"),
    "shape": (setting("x", batch_shape=[None, -4, 4, 1]), "the shape of the input"),
    "type": (setting("x", dtype="odd"), "'odd' is not a known element type"),
    "flag": (setting("y", use_bias=1), "use_bias = 1 is neither true nor false"),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_configs_say_what_and_where(name: str, small: Path, tmp_path: Path) -> None:
    edit, says = INVALID[name]
    with pytest.raises(InvalidModelError) as caught:
        load(rewritten(small, tmp_path / "a.keras", edit))
    assert says in str(caught.value)


@pytest.fixture(scope="module")
def two(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    x = keras.Input((4,), name="x")
    y = keras.layers.ReLU(name="r")(x)
    model = keras.Model(x, keras.layers.Add(name="s")([x, y]))
    path: Path = tmp_path_factory.mktemp("two") / "two.keras"
    model.save(path)
    return path


def retarget(config: dict[str, Any], layer: str, *history: Any) -> None:
    argument = layers(config)[layer]["inbound_nodes"][0]["args"][0]
    argument["config"]["keras_history"] = list(history)


INVALID_CALLS: dict[str, tuple[Edit, str]] = {
    "ring": (lambda c: retarget(c, "r", "s", 0, 0), "waits for its own result"),
    "itself": (lambda c: retarget(c, "r", "r", 0, 0), "waits for its own result"),
    "unknown layer": (lambda c: retarget(c, "r", "none", 0, 0), "uses call 0 of 'none'"),
    "unknown call": (lambda c: retarget(c, "r", "x", 3, 0), "uses call 3 of 'x'"),
    "unknown output": (lambda c: retarget(c, "r", "x", 0, 2), "'x' has no output 2"),
    "no output": (lambda c: c.update(output_layers=["q", 0, 0]), "there is no call 0 of 'q'"),
    "odd output": (lambda c: c.update(output_layers=["s", "x", 0]), "is not a tensor of a layer"),
    "odd outputs": (lambda c: c.update(output_layers=3), "is not an input or output"),
    "odd input": (lambda c: c.update(input_layers=["r", 0, 0]), "'r' is not an input"),
    "odd calls": (entry("r", inbound_nodes=3), "not a list"),
    "odd call": (entry("r", inbound_nodes=[{"args": 3}]), "no arguments"),
    "two tensors": (
        lambda c: layers(c)["r"].update(inbound_nodes=layers(c)["s"]["inbound_nodes"]),
        "waits for",
    ),
}


@pytest.mark.parametrize("name", INVALID_CALLS)
def test_invalid_calls_say_what_and_where(name: str, two: Path, tmp_path: Path) -> None:
    edit, says = INVALID_CALLS[name]
    with pytest.raises(InvalidModelError) as caught:
        load(rewritten(two, tmp_path / "a.keras", edit))
    assert says in str(caught.value)


def test_what_a_call_may_not_say(two: Path, tmp_path: Path) -> None:
    def edit(config: dict[str, Any]) -> None:
        call = layers(config)["r"]["inbound_nodes"][0]
        call["args"].append(3)
        call["kwargs"]["odd"] = 1

    with pytest.raises(UnsupportedError, match="arguments that are not understood: odd, other than tensors"):
        load(rewritten(two, tmp_path / "a.keras", edit))


def test_deep_and_wide_nesting_is_bounded(tmp_path: Path, two: Path) -> None:
    def deep(config: dict[str, Any]) -> None:
        inner: dict[str, Any] = {
            "class_name": "Sequential",
            "config": {"name": "m", "layers": config["layers"][:1]},
        }
        for _ in range(60):
            inner = {"class_name": "Sequential", "config": {"name": "m", "layers": [inner]}}
        config["layers"] = [inner]

    with pytest.raises(InvalidModelError, match="nested deeper"):
        load(rewritten(two, tmp_path / "a.keras", deep))

    def wide(config: dict[str, Any]) -> None:
        network: dict[str, Any] = copy.deepcopy(config)
        network["name"] = "m"
        for _ in range(25):
            call = {
                "args": [{"class_name": "__keras_tensor__", "config": {"keras_history": ["x", 0, 0]}}],
                "kwargs": {},
            }
            again = copy.deepcopy(call)
            again["args"][0]["config"]["keras_history"] = ["m", 0, 0]
            inner = {
                "class_name": "Functional",
                "config": network,
                "name": "m",
                "inbound_nodes": [call, again],
            }
            network = {
                "name": "m",
                "layers": [config["layers"][0], inner],
                "input_layers": [["x", 0, 0]],
                "output_layers": [["m", 2, 0]],
            }
        config.clear()
        config.update(network)

    began = time.process_time()
    with pytest.raises(InvalidModelError, match="more than 50000 calls"):
        load(rewritten(two, tmp_path / "a.keras", wide))
    assert time.process_time() - began < 30
    brackets = tmp_path / "b.keras"
    with zipfile.ZipFile(brackets, "w") as file:
        file.writestr("metadata.json", "{}")
        file.writestr("config.json", "[" * 100_000)
        file.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n")
    with pytest.raises(InvalidModelError, match="not JSON"):
        load(brackets)


VALUES = [
    None,
    -1,
    0,
    1,
    3,
    1e30,
    float("nan"),
    "x",
    "same",
    [],
    {},
    True,
    10**12,
    10**400,
    [1],
    [[]],
    "float16",
    "ops",
]


def test_odd_values_never_escape(two: Path, small: Path, tmp_path: Path) -> None:
    """Whatever stands in the place of a value, the result is a model or an error of ours."""
    rng = np.random.default_rng(5)

    def places(item: Any) -> list[tuple[Any, Any]]:
        keys = (
            list(item) if isinstance(item, dict) else list(range(len(item))) if isinstance(item, list) else []
        )
        return [place for key in keys for place in ((item, key), *places(item[key]))]

    outcomes = set()
    for trial in range(400):

        def edit(config: dict[str, Any]) -> None:
            spots = places(config)
            holder, key = spots[rng.integers(len(spots))]
            holder[key] = VALUES[rng.integers(len(VALUES))]

        try:
            load(rewritten((two, small)[trial % 2], tmp_path / "a.keras", edit))
        except MMConvertError as error:
            outcomes.add(type(error))
    assert {InvalidModelError, UnsupportedError} <= outcomes


CORRUPTIONS = 2000


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_damaged_files_never_escape(suffix: str, small: Path, tmp_path: Path) -> None:
    whole = small.with_suffix(suffix).read_bytes()
    rng = np.random.default_rng(6)
    path, noticed = tmp_path / f"a{suffix}", 0
    for trial in range(CORRUPTIONS):
        data = bytearray(whole)
        if trial % 5 == 0:
            data = data[: rng.integers(len(data))]
        else:
            for place in rng.integers(len(data), size=4):
                data[place] = rng.integers(256)
        path.write_bytes(data)
        try:
            sniff(path, bytes(data[:4096]))
            for value in load(path).graph.constants():
                assert value.constant is not None
                value.constant.numpy()
        except MMConvertError:
            noticed += 1
    assert noticed > CORRUPTIONS // 5


def test_damaged_architectures_never_escape(keras: Any, tmp_path: Path) -> None:
    """`model.json` cut short, with other bytes, and with parts that are doubled, lost or exchanged."""
    x = keras.Input((6, 5))
    y = keras.layers.Bidirectional(keras.layers.LSTM(3, return_sequences=True))(x)
    y = keras.layers.MultiHeadAttention(2, 3)(y, y)
    model = keras.Model(x, keras.layers.Dense(2)(keras.ops.mean(y[:, 1:], axis=1)))
    model.save_weights(tmp_path / "m.weights.h5")
    whole = model.to_json().encode()
    rng = np.random.default_rng(8)
    outcomes: dict[str, int] = {}
    for trial in range(CORRUPTIONS):
        (tmp_path / "m.json").write_bytes(_damaged(whole, trial, rng))
        try:
            load(tmp_path / "m.weights.h5", network=tmp_path / "m.json")
        except MMConvertError as error:
            outcomes[type(error).__name__] = outcomes.get(type(error).__name__, 0) + 1
    assert sum(outcomes.values()) > CORRUPTIONS // 5
    assert {"InvalidModelError", "UnsupportedError"} <= set(outcomes)


def _damaged(whole: bytes, trial: int, rng: np.random.Generator) -> bytes:
    if trial % 4 == 0:
        return whole[: rng.integers(len(whole))]
    if trial % 4 == 1:
        data = bytearray(whole)
        for place in rng.integers(len(data), size=3):
            data[place] = rng.integers(256)
        return bytes(data)
    words = re.findall(rb'"[^"]*"|[\d.]+|true|false|null|.', whole)
    places = [i for i, word in enumerate(words) if word not in b" ,:{}[]"]
    left, right = rng.choice(places, 2)
    words[left] = words[right]
    if trial % 4 == 3:
        words[right] = [b"null", b"[]", b"-1", b"1e999", b'"x"'][rng.integers(5)]
    return b"".join(words)
