"""Images and folders as inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mmconvert
from mmconvert.errors import UsageError
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Metadata, Module
from mmconvert.verification.pictures import feeds_from
from tests.verification.graphs import graph_of

Image: Any = pytest.importorskip("PIL.Image")

SAID = {"input_0.mean": "10,20,30", "input_0.std": "2,4,5"}


def net(type: str = "f32[n,4,6,3]", body: str = "%1 = Relu(x)") -> Graph:
    return graph_of(
        f"""
        graph "g"(x: {type}) -> (y: {type})
          %s: f32[1] = [0.003921569]
          {body}
          return %1
        """
    )


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Red to the left, blue to the right."""
    pixels = np.zeros((8, 12, 3), np.uint8)
    pixels[:, :6, 0], pixels[:, 6:, 2] = 200, 100
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    return path


def test_the_preprocessing_that_the_model_says(picture: Path) -> None:
    ((feed,), notes) = feeds_from(picture, net(), SAID)
    assert notes == []
    assert feed["x"].shape == (1, 4, 6, 3)
    np.testing.assert_allclose(feed["x"][0, 0, 0], [95, -5, -6])
    np.testing.assert_allclose(feed["x"][0, 0, -1], [-5, -5, 14])


def test_channels_first(picture: Path) -> None:
    ((feed,), _) = feeds_from(picture, net("f32[n,3,4,6]"), SAID)
    np.testing.assert_allclose(feed["x"][0, :, 0, 0], [95, -5, -6])


def test_bytes_are_bytes(picture: Path) -> None:
    ((feed,), _) = feeds_from(picture, net("u8[2,4,6,3]", "%1 = Identity(x)"), {})
    assert feed["x"].dtype == np.uint8
    assert feed["x"].shape == (2, 4, 6, 3)
    assert feed["x"][1, 0, 0].tolist() == [200, 0, 0]


def test_a_model_that_scales_pixels_itself(picture: Path) -> None:
    ((feed,), (note,)) = feeds_from(picture, net(body="%1 = Mul(x, %s)"), {})
    assert feed["x"].max() == 200
    assert "0 to 255" in note


def test_what_the_model_does_not_say_is_said(picture: Path) -> None:
    ((feed,), (note,)) = feeds_from(picture, net(), {})
    assert feed["x"].min() == -1
    assert "does not say how 'x' is normalized" in note


def test_a_folder_is_tried_in_order(picture: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", np.ones((3, 4, 6, 3), np.float32))
    (tmp_path / "notes.txt").write_text("no input")
    feeds, _ = feeds_from(tmp_path, net(), SAID)
    assert [feed["x"].shape[0] for feed in feeds] == [1, 3]


def test_what_is_no_image(tmp_path: Path, picture: Path) -> None:
    (tmp_path / "broken.png").write_bytes(picture.read_bytes()[:60])
    with pytest.raises(UsageError, match="no image that Pillow can read"):
        feeds_from(tmp_path / "broken.png", net(), {})
    with pytest.raises(UsageError, match="no input takes an image"):
        feeds_from(picture, net("f32[n,8]"), {})
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no image and no array"):
        feeds_from(tmp_path / "empty", net(), {})


def test_a_conversion_is_verified_on_images(picture: Path, tmp_path: Path) -> None:
    mmconvert.save(Module(net(), Metadata(properties=SAID)), tmp_path / "net.mmir")
    report = mmconvert.convert(tmp_path / "net.mmir", tmp_path / "net.onnx", inputs=picture)
    assert report.verdict is not None
    assert report.passed
    assert report.verdict.inputs == 1
    assert mmconvert.verify(tmp_path / "net.mmir", tmp_path / "net.onnx", inputs=picture.parent).passed
