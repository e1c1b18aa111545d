"""The rules of all families in one table."""

from __future__ import annotations

import functools

from mmconvert.errors import UsageError
from mmconvert.rules import Rules

custom: Rules[str] = Rules("PyTorch")
"""The rules that users add."""


@functools.cache
def built_in() -> Rules[str]:
    """The rules of the package."""
    from mmconvert.parsers.pytorch import (
        activation,
        attention,
        control,
        conv,
        elementwise,
        indexing,
        logic,
        losses,
        making,
        matmul,
        norm,
        pool,
        quantize,
        recurrent,
        reduce,
        resize,
        shaping,
        sorting,
        windows,
    )

    return Rules.merge(
        elementwise.rule,
        activation.rule,
        attention.rule,
        control.rule,
        conv.rule,
        pool.rule,
        windows.rule,
        norm.rule,
        matmul.rule,
        reduce.rule,
        shaping.rule,
        making.rule,
        indexing.rule,
        logic.rule,
        losses.rule,
        sorting.rule,
        resize.rule,
        quantize.rule,
        recurrent.rule,
    )


def rules() -> Rules[str]:
    """The rules of the package and those of the user."""
    return Rules.merge(built_in(), custom)


def key_of(name: str) -> str:
    """``"mylib::op"`` as programs spell it: ``"mylib.op.default"``.

    Raises:
        UsageError: it is no name of an operator.
    """
    namespace, separator, rest = name.partition("::")
    if not separator or not namespace or not rest:
        raise UsageError(f"{name!r} is no name of an operator", hint='it has the form "mylib::op"')
    operator, _, overload = rest.partition(".")
    return f"{namespace}.{operator}.{overload or 'default'}"
