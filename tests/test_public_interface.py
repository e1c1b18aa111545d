"""What users rely on: the exported names, the signatures, the command, and how little an import costs."""

from __future__ import annotations

import inspect
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import mmconvert
from mmconvert import api, errors
from mmconvert.errors import UnsupportedError, UsageError
from tests import digits

EXPORTED = [
    "MMConvertError",
    "Model",
    "Report",
    "__version__",
    "convert",
    "diff",
    "extract",
    "load",
    "reduce",
    "run",
    "save",
    "verify",
]

HEAVY = (
    "ai_edge_litert",
    "flatbuffers",
    "google.protobuf",
    "h5py",
    "keras",
    "ml_dtypes",
    "numpy",
    "onnx",
    "onnxruntime",
    "rich",
    "safetensors",
    "tensorflow",
    "tflite",
    "torch",
)


def test_exported_names() -> None:
    assert mmconvert.__all__ == EXPORTED
    for name in EXPORTED:
        assert getattr(mmconvert, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = mmconvert.nonsense  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["convert", "diff", "extract", "load", "reduce", "run", "save", "verify"])
def test_functions_stay_functions(name: str) -> None:
    """No subpackage may take the name of a function: importing it would replace the function."""
    assert getattr(mmconvert, name) is getattr(api, name)
    assert not (Path(mmconvert.__file__).parent / name).exists()
    assert not (Path(mmconvert.__file__).parent / f"{name}.py").exists()


SIGNATURES = {
    "load": ["source", "format", "options"],
    "save": ["model", "path", "format", "fix_dims", "rename", "options"],
    "run": ["model", "inputs", "runtime", "options"],
    "diff": ["first", "second", "run", "seed", "k", "fix_dims", "progress"],
    "reduce": ["source", "against", "out", "seed", "k", "tries", "fix_dims", "progress", "options"],
    "verify": [
        "source",
        "target",
        "inputs",
        "seed",
        "k",
        "tolerance",
        "thorough",
        "fix_dims",
        "framework",
        "examine",
        "progress",
        "options",
    ],
    "convert": [
        "source",
        "target",
        "to",
        "source_format",
        "network",
        "fix",
        "items",
        "activations",
        "signature",
        "hybrid",
        "module",
        "examples",
        "state_key",
        "trust_pickle",
        "fix_dims",
        "rename",
        "labels",
        "verify",
        "inputs",
        "seed",
        "k",
        "tolerance",
        "thorough",
        "framework",
        "examine",
        "progress",
        "options",
    ],
    "extract": [
        "source",
        "target",
        "inputs",
        "outputs",
        "to",
        "source_format",
        "network",
        "fix",
        "items",
        "activations",
        "signature",
        "hybrid",
        "module",
        "examples",
        "state_key",
        "trust_pickle",
        "fix_dims",
        "rename",
        "labels",
        "verify",
        "feeds",
        "seed",
        "k",
        "examine",
        "progress",
        "options",
    ],
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures(name: str) -> None:
    parameters = inspect.signature(getattr(mmconvert, name)).parameters
    assert list(parameters) == SIGNATURES[name]
    assert inspect.getdoc(getattr(mmconvert, name))


def test_exit_codes() -> None:
    codes = {
        errors.NotEquivalentError: 1,
        errors.UsageError: 2,
        errors.UnsupportedError: 3,
        errors.InvalidModelError: 4,
        errors.InferenceError: 4,
        errors.MissingDependencyError: 5,
        errors.DownloadError: 6,
        errors.InternalError: 70,
    }
    for error, code in codes.items():
        assert error.exit_code == code
        assert issubclass(error, mmconvert.MMConvertError)


# --- use ---------------------------------------------------------------------------------------------------


def test_a_session_in_python(tmp_path: Path) -> None:
    model = mmconvert.load(digits.KERAS)
    (image,) = model.graph.inputs
    assert (image.name, str(image.type)) == ("image", "f32[batch,8,8,1]")
    x = digits.images(5)
    expected = model.run({"image": x})["probabilities"]

    model.save(tmp_path / "m.tflite")
    np.testing.assert_allclose(
        mmconvert.run(tmp_path / "m.tflite", {"image": x}, runtime="litert")["probabilities"],
        expected,
        atol=1e-5,
    )
    mmconvert.save(model, str(tmp_path / "m.bin"), format="onnx", opset=13)
    report = mmconvert.verify(str(digits.KERAS), str(tmp_path / "m.bin"))
    assert report.passed
    assert report.outputs[0].error.maximum < report.outputs[0].budget.maximum
    assert report.first_divergence is None

    converted = mmconvert.convert(digits.KERAS, tmp_path / "n.onnx", seed=3)
    assert converted.passed
    assert converted.size == (tmp_path / "n.onnx").stat().st_size
    assert list(converted.seconds) == ["load", "verify", "convert"]
    assert converted.to_json()["verdict"]["passed"] is True
    assert str(model.graph).startswith('graph "digits"')


def test_saving_leaves_the_model_as_it_is(tmp_path: Path) -> None:
    model = mmconvert.load(digits.KERAS)
    before = str(model.graph)
    for suffix in ("onnx", "tflite", "mmir"):
        model.save(tmp_path / f"m.{suffix}")
    assert str(model.graph) == before


def test_io_layout(tmp_path: Path) -> None:
    report = mmconvert.convert(digits.KERAS, tmp_path / "m.onnx", io_layout="target")
    assert report.passed
    assert str(mmconvert.load(tmp_path / "m.onnx").graph.inputs[0].type) == "f32[batch,1,8,8]"
    with pytest.raises(UsageError, match="io_layout is source or target, not 'nchw'"):
        mmconvert.convert(digits.KERAS, tmp_path / "n.onnx", io_layout="nchw")


def test_progress(tmp_path: Path) -> None:
    steps: list[str] = []
    mmconvert.convert(digits.KERAS, tmp_path / "m.onnx", progress=steps.append)
    assert steps[0] == "reading"
    assert steps[-1].startswith("running the target in ONNX Runtime")
    assert len(steps) == 8


def test_options_that_do_not_exist(tmp_path: Path) -> None:
    model = mmconvert.load(digits.KERAS)
    with pytest.raises(UsageError, match=r"writing ONNX has no option opsets\n.*its options: opset"):
        model.save(tmp_path / "m.onnx", opsets=13)
    with pytest.raises(UsageError, match="writing TensorFlow Lite has no option opset"):
        model.save(tmp_path / "m.tflite", opset=13)
    with pytest.raises(UsageError, match=r"reading Keras .* has no option layers\n.*its options: network"):
        mmconvert.load(digits.KERAS, layers=3)
    with pytest.raises(UsageError, match="no format 'tensorflow'"):
        mmconvert.load(digits.KERAS, format="tensorflow")
    with pytest.raises(UnsupportedError, match="can be read, not written"):
        model.save(tmp_path / "m.keras")
    assert not list(tmp_path.iterdir())


def test_run_says_which_runtime_it_takes(tmp_path: Path) -> None:
    feed = {"image": digits.images(1)}
    for runtime in (None, "interpreter"):
        assert mmconvert.run(digits.KERAS, feed, runtime=runtime)["probabilities"].shape == (1, 10)
    with pytest.raises(UsageError, match="onnx cannot run Keras"):
        mmconvert.run(digits.KERAS, feed, runtime="onnx")
    with pytest.raises(UsageError, match="no format 'tensorrt'"):
        mmconvert.run(digits.KERAS, feed, runtime="tensorrt")
    with pytest.raises(UsageError, match="no input called 'picture'"):
        mmconvert.run(digits.KERAS, {"picture": feed["image"]})
    mmconvert.save(mmconvert.load(digits.KERAS), tmp_path / "m.tflite")
    assert mmconvert.run(tmp_path / "m.tflite", feed)["probabilities"].shape == (1, 10)
    assert mmconvert.run(tmp_path / "m.tflite", feed, runtime="interpreter")["probabilities"].shape == (1, 10)
    (tmp_path / "m.ort").write_bytes(b"\x18\0\0\0ORTM")
    with pytest.raises(UnsupportedError, match="ORT format cannot be read"):
        mmconvert.run(tmp_path / "m.ort", feed, runtime="interpreter")


# --- cost --------------------------------------------------------------------------------------------------


def loaded_by(code: str) -> set[str]:
    """The heavy modules that are there after ``code`` has run in a fresh interpreter."""
    check = f"import sys; {code}; print(*sorted(m for m in {HEAVY} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_loads_nothing_heavy() -> None:
    assert loaded_by("import mmconvert") == set()


HELP = """
import contextlib
from mmconvert.cli import invoke
with contextlib.redirect_stdout(sys.stderr):
    code = invoke(['--help'])
assert code == 0
"""


def test_help_loads_nothing_heavy() -> None:
    assert loaded_by(f"exec({HELP!r})") == set()


def test_converting_to_one_format_loads_no_framework(tmp_path: Path) -> None:
    target = tmp_path / "m.tflite"
    found = loaded_by(
        f"import mmconvert; mmconvert.convert({str(digits.KERAS)!r}, {str(target)!r}, verify=False)"
    )
    assert found <= {"numpy", "ml_dtypes", "h5py", "flatbuffers", "tflite"}


def test_help_is_quick() -> None:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "mmconvert", "--help"], capture_output=True, check=False)
        times.append(time.perf_counter() - start)
        assert done.returncode == 0
    assert min(times) < 0.2 or min(times) < 4 * bare_start()


def bare_start() -> float:
    """How long Python itself takes here and now: the machine may be busy."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import click"], check=True)
    return time.perf_counter() - start


def test_every_module_can_be_imported_first() -> None:
    """No import cycle depends on who comes first."""
    package = Path(mmconvert.__file__).parent
    names = [
        "mmconvert." + ".".join(path.relative_to(package).with_suffix("").parts)
        for folder in ("cli", "verification", "demo", "interpreter")
        for path in (package / folder).glob("*.py")
        if path.stem != "__init__"
    ]
    names += [
        "mmconvert.api",
        "mmconvert.lowering",
        "mmconvert.registry",
        "mmconvert.files",
        "mmconvert.demo",
    ]
    for name in ("mmconvert.verification.judge", "mmconvert.api", "mmconvert.lowering", "mmconvert.cli"):
        assert subprocess.run([sys.executable, "-c", f"import {name}"], check=False).returncode == 0
    assert all(__import__(name) for name in names)
