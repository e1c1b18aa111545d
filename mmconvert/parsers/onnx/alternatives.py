"""Ifs whose branches differ in rank: read the one way in which the rest of the model works.

Exporters write such an If for a `squeeze` that drops an axis only where its extent is 1. What comes behind it
works with one of the two ranks; with the other, every runtime stops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.ir.model import Module
from mmconvert.parsers.onnx.convert import Converter

ATTEMPTS = 32
"""How often one file is read at most, each time under other assumptions."""

Reader = Callable[[Mapping[str, bool]], Converter]
"""A reader of the file under assumptions: the conditions of Ifs, by the places of these."""


def settle(reader: Reader) -> Module:
    """Reads a model; a condition that decides over ranks is assumed to be what alone makes the model valid.

    What is assumed stands among the warnings of the module. Where it does not hold, the source fails when it
    is run, so nothing is lost.

    Raises:
        UnsupportedError: with everything that cannot be represented; conditions that could be either are.
        InvalidModelError: the model is not valid.
    """
    return _settle(reader, {}, iter(range(ATTEMPTS)))


def _settle(reader: Reader, assumed: Mapping[str, bool], attempts: Iterator[int]) -> Module:
    converter = reader(assumed)
    try:
        return converter.convert()
    except UnsupportedError:
        undecided = converter.context.library.undecided
        found: list[Module] = []
        for condition in (True, False) if undecided else ():
            if next(attempts, None) is None:
                raise
            try:
                found.append(_settle(reader, {**assumed, undecided[0]: condition}, attempts))
            except InvalidModelError:
                continue  # so the condition is never this
            except UnsupportedError:
                break
        if len(found) != 1:
            raise
        return found[0]
