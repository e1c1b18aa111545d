"""All rules of the Keras parser."""

from __future__ import annotations

from mmconvert.parsers.keras import (
    activations,
    adaptive,
    applications,
    arranging,
    attention,
    conv,
    core,
    einsum,
    encoding,
    keras1_layers,
    merge,
    norm,
    numeric,
    operations,
    pool,
    recurrent,
    reshaping,
    resize,
    shape,
    spectrogram,
    tensorflow,
    wrappers,
)
from mmconvert.rules import Rules

_FAMILIES = (
    activations,
    adaptive,
    applications,
    arranging,
    attention,
    conv,
    core,
    einsum,
    encoding,
    keras1_layers,
    merge,
    norm,
    numeric,
    operations,
    pool,
    recurrent,
    reshaping,
    resize,
    shape,
    spectrogram,
    tensorflow,
    wrappers,
)

RULES: Rules[str] = Rules.merge(*(family.rule for family in _FAMILIES))
