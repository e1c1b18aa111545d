"""timm's image nets, the smallest of each family."""

from __future__ import annotations

from typing import Any

import torch

from ..build_torchvision import models
from .net import SEED, Net, images, randomise

SETTINGS: dict[str, dict[str, Any]] = {
    "samvit_base_patch16": {"depth": 3, "global_attn_indexes": (2,), "img_size": 128},
    "gemma4_vit_167m_enc": {"depth": 2},
    "naflexvit_base_patch16_parfac_gap": {"depth": 3},
    "qwen3_vit_88m": {"depth": 3},
    "beit_base_patch16_224": {"depth": 4},
}
"""What makes a net smaller."""

EXTENTS = {
    "inception_v3": 128,
    "inception_v4": 128,
    "legacy_xception": 96,
    "xception41p": 96,
}
"""Of nets whose extent may be open, but must not be small."""

BATCH_ONLY = ("efficientvim_m1", "halonet_h1", "mobilevit_xxs")
"""Nets of which torch fixes inner extents, or works on them for minutes, where those of images are open."""


def build(name: str) -> Net:
    """Returns the net of this name with ten classes."""
    models()
    import timm

    torch.manual_seed(SEED)
    module = timm.create_model(name, num_classes=10, **SETTINGS.get(name, {})).eval()
    randomise(module)
    about: Any = module.default_cfg
    base, fixed = int(about["input_size"][1]), bool(about.get("fixed_input_size"))
    base = int(SETTINGS.get(name, {}).get("img_size", base if fixed else EXTENTS.get(name, 64)))
    return Net(module, **images(base, open_extent=not fixed and name not in BATCH_ONLY))
