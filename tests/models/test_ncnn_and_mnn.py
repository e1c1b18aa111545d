"""The nets of keras.applications and torchvision, and trained models, in NCNN and MNN."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import mmconvert
from mmconvert import registry
from mmconvert.emitters.ncnn import settled_dims
from mmconvert.ir.ends import fix_dims
from mmconvert.verification import sides
from mmconvert.verification.inputs import Feed, generate
from mmconvert.verification.judge import judge, observe
from tests.models import zoo

pytestmark = pytest.mark.timeout(2400)

FORMATS = {"ncnn": ".param", "mnn": ".mnn"}
SMALL_KERAS = ("MobileNet", "EfficientNetV2B0", "NASNetMobile")
TRAINED: dict[str, dict[str, int]] = {
    "rapidocr-cls": {},
    "centerface": {},
    "basic-pitch": {},
    "dtln-1": {},
    "dtln-2": {},
    "open-nsfw": {},
    "minilm": {"batch": 1, "sequence": 24},
}


def assert_equivalent(
    source: Path, folder: Path, dims: Mapping[str, int], pixels: tuple[float, float] | None = None
) -> None:
    """Both runtimes are as near to the truth as the rule wants; the source is run once for both."""
    graph = mmconvert.load(source).graph
    fixed = fix_dims(graph, dims)
    (feed,) = generate(fix_dims(fixed, settled_dims(fixed)), count=1)
    feed = feed if pixels is None else image(feed, *pixels)
    reference = observe(graph, [feed])
    for name, suffix in FORMATS.items():
        path = folder / f"model{suffix}"
        mmconvert.convert(source, path, verify=False, fix_dims=dict(dims))
        side, _ = sides.best(path, registry.find(name), sides.UNMOVED, "")
        assert side is not None
        verdict = judge(reference, side)
        assert verdict.level == "executed"
        assert verdict.passed, f"{name}: {verdict}"


def image(feed: Feed, low: float, high: float) -> Feed:
    """Seeded pixels in the range that a net is calibrated for."""
    rng = np.random.default_rng(0)
    return {key: rng.uniform(low, high, array.shape).astype(np.float32) for key, array in feed.items()}


@pytest.mark.model
@pytest.mark.parametrize("name", TRAINED)
def test_trained_models(name: str, tmp_path: Path) -> None:
    assert_equivalent(zoo.package_file(name), tmp_path, TRAINED[name])


@pytest.mark.model
@pytest.mark.parametrize("name", SMALL_KERAS)
def test_small_applications(name: str, tmp_path: Path) -> None:
    assert_equivalent(zoo.keras_application(name), tmp_path, {}, zoo.image_range(name))


@pytest.mark.model
def test_a_lite_net(tmp_path: Path) -> None:
    assert_equivalent(zoo.efficientnet_lite_onnx(), tmp_path, {})


@pytest.mark.large
@pytest.mark.parametrize("name", [n for n in zoo.ALL_KERAS_APPLICATIONS if n not in SMALL_KERAS])
def test_applications(name: str, tmp_path: Path) -> None:
    assert_equivalent(zoo.keras_application(name), tmp_path, {}, zoo.image_range(name))


@pytest.mark.large
@pytest.mark.parametrize("name", zoo.TORCHVISION_CLASSIFIERS)
def test_torchvision(name: str, tmp_path: Path) -> None:
    assert_equivalent(zoo.torchvision_onnx(name), tmp_path, {})
