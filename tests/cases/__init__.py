"""The case tables of all operator families, found by their modules."""

from __future__ import annotations

import importlib
import pkgutil

from tests.cases.case import Case

FAMILIES: dict[str, list[Case]] = {
    module.name: importlib.import_module(f"{__name__}.{module.name}").CASES
    for module in pkgutil.iter_modules(__path__)
    if module.name != "case"
}
"""The rows of each family, by the name of its module."""

ALL: list[Case] = [case for cases in FAMILIES.values() for case in cases]
"""Every row."""
