"""What the user says about classes and activations that are not Keras's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from mmconvert.errors import UsageError
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.parsers.keras.activations import function
from mmconvert.parsers.keras.layer import Rule
from mmconvert.parsers.keras.source import Record

Activation = Callable[[Builder, Value], Value]
R = TypeVar("R", bound=Callable[..., Any])

_LAYERS: dict[str, Rule] = {}


def register(name: str) -> Callable[[R], R]:
    """Decorator: a function that builds what a custom layer computes.

    ::

        @mmconvert.parsers.keras.register("Scale")
        def scale(layer, b):
            (factor,) = layer.variables({"factor": (layer.integer("units"),)})
            return b(Mul(), layer.input(), layer.weight("factor", factor))

    The function is called with the layer (``KerasLayer``: its config, weights and operands) and a
    ``Builder``, and returns a value or a tuple of them. Whatever of the config it does not read is refused.

    Args:
        name: of the class, or as it was registered with Keras (``"package>Scale"``).

    Raises:
        UsageError: the name has a function already.
    """
    if name in _LAYERS:
        raise UsageError(f"the layer {name!r} is registered already")

    def add(rule: R) -> R:
        _LAYERS[name] = rule
        return rule

    return add


def unregister(name: str) -> None:
    """Takes back ``register``; nothing happens when there is no such name."""
    _LAYERS.pop(name, None)


def registered(layer: Record) -> Rule | None:
    """The function for a class, if the user gave one."""
    return _LAYERS.get(layer.registered) or _LAYERS.get(layer.kind)


def activations(given: Mapping[str, str | Activation]) -> dict[str, Activation]:
    """What names of activations mean: functions of a builder and a value, or ``"leaky_relu:0.2"``.

    Raises:
        UsageError: the text names no activation of Keras, or gives it other numbers than it takes.
    """
    return {
        name: _parsed(meaning) if isinstance(meaning, str) else meaning for name, meaning in given.items()
    }


def _parsed(text: str) -> Activation:
    name, _, rest = text.partition(":")
    found = function.find(name)
    if found is None:
        raise UsageError(f"{name!r} is no activation of Keras", hint=f"one of {', '.join(sorted(function))}")
    names = list(inspect.signature(found).parameters)[2:]
    try:
        numbers = [float(number) for number in rest.split(":")] if rest else []
    except ValueError as error:
        raise UsageError(f"{text!r}: behind the name stand numbers", hint="as in leaky_relu:0.2") from error
    if len(numbers) > len(names):
        raise UsageError(
            f"{name} takes {len(names)} numbers, not {len(numbers)}", hint="as in leaky_relu:0.2"
        )
    chosen: Callable[..., Value] = found
    kinds = [inspect.signature(found).parameters[n].default for n in names]
    values = [type(kind)(number) for kind, number in zip(kinds, numbers, strict=False)]
    return lambda b, x: chosen(b, x, *values)
