"""The converters that mmconvert is measured against, each in an environment of its own under the cache.

    python -m benchmarks.peers      makes the environments and keeps what the peers make of the test models

TensorFlow is taken from the running environment (the `keras` extra).
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from benchmarks.measure import CommandFailed, Side, run
from tests.models import zoo

ONNX2TF = "onnx2tf==2.6.9"
PYTHON = "3.12"
ONNXSIM, ONNXSLIM = "onnxsim==0.8.1", "onnxslim==0.1.98"
TENSORFLOW = "2.21"
PNNX = "pnnx==20261020"
SIMPLIFIER_NEEDS = ("onnx==1.23.2", "onnxruntime==1.31.1")
SIMPLIFIER_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

SIMPLIFIERS = {
    "onnxslim": "import onnx, onnxslim, sys; onnx.save(onnxslim.slim(sys.argv[1]), sys.argv[2])",
    "onnxsim": "import onnx, onnxsim, sys; onnx.save(onnxsim.simplify(sys.argv[1])[0], sys.argv[2])",
}


class PeerUnavailable(RuntimeError):
    """A peer cannot be set up here."""


def find_python(version: str) -> str:
    """Returns an interpreter of that version, from the path or from pyenv."""
    found = shutil.which(f"python{version}")
    # A pyenv shim stands on the path for versions that are not selected, too; those fail when they are run.
    if found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
        return found
    installed = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    if not installed:
        raise PeerUnavailable(f"no Python {version} on the path or in pyenv")
    return str(installed[-1])


def environment(requirement: str, python: str, *others: str) -> Path:
    """Returns the folder of a virtual environment that holds `requirement`, what it pins, and `others`."""
    folder = zoo.cache_dir() / "peers" / requirement.replace("==", "-")
    ready = folder / "ready"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not ready.exists():
            # Made in place: the scripts of an environment hold its path, so it cannot be renamed afterwards.
            run([find_python(python), "-m", "venv", "--clear", str(folder)])
            run([str(folder / "bin" / "pip"), "install", "-q", requirement, *others])
            ready.touch()
    return folder


def onnx2tf_environment() -> dict[str, str]:
    """Returns the variables to run onnx2tf with: it calls the scripts of its own environment by name."""
    binaries = environment(ONNX2TF, PYTHON) / "bin"
    return {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": ""}


def onnx2tf_command(source: Path, folder: Path, kept: Sequence[str] = ()) -> list[str]:
    """Returns the command that converts a copy of `source`, because onnx2tf overwrites its input.

    The inputs named in `kept` stay in the order of axes that the source has; the others become NHWC.
    """
    copy = folder / source.name
    shutil.copyfile(source, copy)
    binaries = environment(ONNX2TF, PYTHON) / "bin"
    return [
        str(binaries / "onnx2tf"),
        "-i",
        str(copy),
        "-o",
        str(folder / "out"),
        *(["-k", *kept] if kept else []),
    ]


def onnx2tf_output(folder: Path) -> Path:
    """Returns the float32 file that `onnx2tf_command` left in `folder`."""
    (found,) = (folder / "out").glob("*_float32.tflite")
    return found


def onnx2tf_tflite(source: Path, *, keep_inputs: bool = False) -> Path:
    """Returns what onnx2tf makes of an ONNX file of the cache, kept beside it.

    Raises:
        CommandFailed: onnx2tf cannot convert it.
    """

    def make(out: Path) -> None:
        kept = _inputs(source) if keep_inputs else ()
        # It leaves files in the folder that it runs in.
        run(onnx2tf_command(source, out.parent, kept), onnx2tf_environment(), out.parent)
        onnx2tf_output(out.parent).replace(out)

    return zoo.cached(source.with_suffix(".onnx2tf-k.tflite" if keep_inputs else ".onnx2tf.tflite"), make)


def _inputs(source: Path) -> list[str]:
    import onnx

    graph = onnx.load(source, load_external_data=False).graph
    weights = {tensor.name for tensor in graph.initializer}
    return [value.name for value in graph.input if value.name not in weights]


def simplified(source: Path) -> dict[str, Path]:
    """Returns what onnxslim and onnxsim make of `source`, by their names; without those that fail."""
    python = environment(ONNXSLIM, SIMPLIFIER_PYTHON, ONNXSIM, *SIMPLIFIER_NEEDS) / "bin" / "python"
    made = {}
    for name, code in SIMPLIFIERS.items():
        target = zoo.cache_dir() / "peers" / "simplified" / f"{source.parent.name}-{source.stem}.{name}.onnx"

        def make(out: Path, code: str = code) -> None:
            run([str(python), "-c", code, str(source), str(out)], {"PYTHONPATH": ""})

        try:
            made[name] = zoo.cached(target, make)
        except CommandFailed as error:
            sys.stderr.write(f"{source.name}: {name}: {str(error).splitlines()[-1]}\n")
    return made


def tensorflow_command(source: Path, out: Path) -> list[str]:
    """Returns the command that converts `source` with `tf.lite.TFLiteConverter`."""
    installed = {name: importlib.metadata.version(name) for name in ("tensorflow-cpu", "keras")}
    if not installed["tensorflow-cpu"].startswith(TENSORFLOW):
        raise PeerUnavailable(f"tensorflow-cpu {installed['tensorflow-cpu']} here, {TENSORFLOW} is the peer")
    return [sys.executable, "-m", "tests.models.build_keras", "tflite", str(source), str(out)]


def pnnx_command(source: Path, folder: Path) -> list[str]:
    """Returns the command that converts a copy of `source`: pnnx writes its files beside its input."""
    copy = folder / "model.onnx"
    shutil.copyfile(source, copy)
    return [str(environment(PNNX, SIMPLIFIER_PYTHON) / "bin" / "pnnx"), str(copy)]


def pnnx_side(source: Path) -> Side:
    """Returns pnnx's conversion of an ONNX file."""
    return Side("pnnx", lambda folder: pnnx_command(source, folder), {"PYTHONPATH": ""})


def pnnx_param(source: Path) -> Path:
    """Returns what pnnx makes of an ONNX file of the cache: a `.param` file with its `.bin` beside it."""

    def make(out: Path) -> None:
        out.mkdir()
        run(pnnx_command(source, out), {"PYTHONPATH": ""})
        for suffix in ("param", "bin"):
            (out / f"model.ncnn.{suffix}").rename(out / f"kept.{suffix}")
        for left in out.glob("model.*"):
            left.unlink()

    return zoo.cached(source.with_suffix(".pnnx"), make) / "kept.param"


# The converter is a module of C++. The Python module around it, MNN.tools.mnnconvert, installs a package and
# reports to a server when it is imported.
_MNN = """
import sys, _tools
_tools.mnnconvert(["mnnconvert", "-f", "ONNX", "--modelFile", sys.argv[1], "--MNNModel", sys.argv[2],
                   "--bizCode", "peer"])
"""


def mnn_command(source: Path, out: Path) -> list[str]:
    """Returns the command that converts `source` with MNN's own converter."""
    return [sys.executable, "-c", _MNN, str(source), str(out)]


def mnn_side(source: Path) -> Side:
    """Returns MNN's conversion of an ONNX file."""
    return Side("MNN", lambda folder: mnn_command(source, folder / "out.mnn"))


def mnn_file(source: Path) -> Path:
    """Returns what MNN's own converter makes of an ONNX file of the cache, kept beside it."""

    def make(out: Path) -> None:
        run(mnn_command(source, out))

    return zoo.cached(source.with_suffix(".peer.mnn"), make)


def main() -> None:
    """Sets up the peers and prints where their outputs are."""
    for name in zoo.TORCHVISION_MODELS:
        print(onnx2tf_tflite(zoo.torchvision_onnx(name)), flush=True)
    for name in zoo.ALL_KERAS_APPLICATIONS:
        print(zoo.keras_application_tflite(name), flush=True)


if __name__ == "__main__":
    main()
