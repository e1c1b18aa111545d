"""All rules of the Keras parser."""

from __future__ import annotations

from mmconvert.parsers.keras import (
    activations,
    applications,
    attention,
    conv,
    core,
    einsum,
    merge,
    norm,
    operations,
    pool,
    recurrent,
    reshaping,
    resize,
    shape,
    wrappers,
)
from mmconvert.rules import Rules

_FAMILIES = (
    activations,
    applications,
    attention,
    conv,
    core,
    einsum,
    merge,
    norm,
    operations,
    pool,
    recurrent,
    reshaping,
    resize,
    shape,
    wrappers,
)

RULES: Rules[str] = Rules.merge(*(family.rule for family in _FAMILIES))
