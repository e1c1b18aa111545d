"""Finds the variables of a layer in the two layouts of Keras files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Protocol

from mmconvert import dtypes
from mmconvert.errors import InvalidModelError, Problem, UnsupportedError
from mmconvert.parsers.keras.hdf5 import Group
from mmconvert.parsers.keras.source import Record
from mmconvert.tensors import Tensor


class Weights(Protocol):
    """The variables of a file."""

    def of(self, layer: Record, names: Sequence[str]) -> list[Tensor]:
        """The variables of ``layer``, whose ``names`` stand in the order in which Keras creates them.

        Raises:
            InvalidModelError: the file has none, or others.
        """
        ...

    def mode(self, part: Record) -> str | None:
        """How a projection of attention is quantized, of which the settings of the layer do not tell.

        Raises:
            UnsupportedError: the file does not tell either.
        """
        ...


def quantized_mode(part: Record, kernel: Tensor, names: int) -> str | None:
    """How a projection is quantized that has ``names`` variables: packed kernels are matrices.

    Raises:
        UnsupportedError: int4 with one scale for each column leaves open whether activations are rounded.
    """
    if kernel.dtype != dtypes.I8:
        return "float8" if names > 6 else None
    if len(kernel.shape) > 2:
        return "int8"
    if names < 4:
        raise unsaid(part)
    return "int4"


def unsaid(layer: Record) -> UnsupportedError:
    """The error for weights that are quantized though the config does not say so; Keras fails on them."""
    what = f"{layer.kind}: quantized weights, of which its settings do not tell"
    problem = Problem(what, ((layer.owner or layer).place,), "save the model before it is quantized")
    return UnsupportedError(what, problems=[problem])


_LISTED = re.compile(r"(^|/)layers/[^/]+/$")
"""Where a layer lies among others, and not as an attribute of one, which need not bear its name."""


class ArchiveWeights:
    """`model.weights.h5`: variables lie under ``layers/<class>_<count>/vars`` by number.

    Keras 3.15 also notes the layer's name at each group, which settles it when the count does not.
    """

    def __init__(self, root: Group, layers: Iterable[Record]) -> None:
        """
        Args:
            root: the HDF5 file.
            layers: all layers of the model, those of models inside it as well.
        """
        self._root = root
        self._named: dict[str, dict[str, Group]] = {}
        self._namesakes: dict[tuple[str, str], list[Record]] = {}
        for layer in layers:
            self._namesakes.setdefault((layer.kind, layer.name), []).append(layer)

    def of(self, layer: Record, names: Sequence[str]) -> list[Tensor]:
        """See ``Weights.of``."""
        group = self._find(layer)
        if group is None:
            raise InvalidModelError(f"the file has no weights for {layer.place}", where=self._root.where)
        found = group.names()
        if len(found) > len(names) and any(dtypes.is_integer(group.tensor(i).dtype) for i in found):
            raise unsaid(layer)
        if len(found) != len(names):
            raise InvalidModelError(
                f"{layer.place} has the variables {', '.join(names)}, and the file {len(found)} for it",
                where=group.where,
            )
        return [group.tensor(str(index)) for index in range(len(names))]

    def mode(self, part: Record) -> str | None:
        """See ``Weights.mode``."""
        group = self._find(part)
        names = [] if group is None else group.names()
        return quantized_mode(part, group.tensor("0"), len(names)) if group is not None and names else None

    def _find(self, layer: Record) -> Group | None:
        # A layer that stands in two models is stored once, where Keras met it first.
        whole = layer.owner or layer
        twins = [twin for twin in self._namesakes.get((whole.kind, whole.name), ()) if _same(twin, whole)]
        part = layer.key.removeprefix(whole.key)
        groups = (self._at(f"{key}{part}", layer.name) for key in (whole.key, *(t.key for t in twins)))
        return next((group for group in groups if group is not None), None)

    def _at(self, key: str, name: str) -> Group | None:
        group = self._variables(key)
        if group is None or group.text("name") in (None, name) or not _LISTED.search(key):
            return group
        return self._siblings(key).get(name)

    def _variables(self, key: str) -> Group | None:
        group = self._root.group(f"{key}vars")
        if group is None:
            # So named by the Keras of TensorFlow 2.12.
            group = self._root.group(f"{key}vars".replace("layers/", "_layer_checkpoint_dependencies/"))
        if group is None:
            # Keras 2 keeps the projections of attention in attributes of its own.
            head, _, last = key.rstrip("/").rpartition("/")
            group = self._root.group(f"{head}/_{last}/vars")
        return group

    def _siblings(self, key: str) -> dict[str, Group]:
        """The groups beside ``key`` by the names that they note."""
        parent = key[: key.rstrip("/").rfind("/") + 1]
        if parent not in self._named:
            container = self._root.group(parent)
            names = container.names() if container is not None else []
            groups = [self._root.group(f"{parent}{name}/vars") for name in names]
            self._named[parent] = {group.text("name") or "": group for group in groups if group is not None}
        return self._named[parent]


def _same(left: Record, right: Record) -> bool:
    """True when two records have the same settings, but for objects, which are numbered anew each time."""
    plain = [
        {key: value for key, value in item.settings.items() if not isinstance(value, dict)}
        for item in (left, right)
    ]
    return plain[0] == plain[1]


class LegacyWeights:
    """`model_weights` of an `.h5` file: each outermost layer lists the names of all variables in it."""

    def __init__(self, root: Group) -> None:
        self._root = root
        self._listed: dict[str, list[str]] = {}
        self._left: dict[str, list[str]] = {}
        self._given: dict[str, list[Tensor]] = {}

    def of(self, layer: Record, names: Sequence[str]) -> list[Tensor]:
        """See ``Weights.of``."""
        group = self._group(layer)
        if layer.owner is not None:
            if layer.key not in self._given:
                self._given[layer.key] = self._next(layer, layer.owner, names, group)
            return self._given[layer.key]
        paths = _own(layer, self._paths(group, layer), group.where)
        by_name = {_variable(path): path for path in paths}
        if set(by_name) >= set(names):
            return [group.tensor(by_name[name]) for name in names]
        if len(paths) == len(names):
            return [group.tensor(path) for path in paths]
        raise InvalidModelError(
            f"{layer.place} has the variables {', '.join(names)}, and the file {', '.join(paths) or 'none'}",
            where=group.where,
        )

    def mode(self, part: Record) -> str | None:
        """See ``Weights.mode``."""
        owner = part.owner or part
        group = self._group(owner)
        paths = _inside(owner, self._paths(group, owner))
        kernels = [path for path in paths if _variable(path) == "kernel"]
        names = {_variable(path) for path in paths}
        return quantized_mode(part, group.tensor(kernels[0]), len(names)) if kernels else None

    def _group(self, layer: Record) -> Group:
        group = self._root.group(layer.trail[0])
        if group is None:
            raise InvalidModelError(f"the file has no weights for {layer.place}", where=self._root.where)
        return group

    def _paths(self, group: Group, layer: Record) -> list[str]:
        outermost = layer.trail[0]
        if outermost not in self._listed:
            self._listed[outermost] = group.texts("weight_names") or []
        return self._listed[outermost]

    def _next(self, part: Record, owner: Record, names: Sequence[str], group: Group) -> list[Tensor]:
        """The variables of a part: the first ones of its owner with these names that no part has yet.

        Files agree on the order of parts, and hardly on their names.
        """
        if owner.key not in self._left:
            self._left[owner.key] = _inside(owner, self._paths(group, owner))
        left, found = self._left[owner.key], []
        for name in names:
            path = next((path for path in left if _variable(path) == name), None)
            if path is None:
                raise InvalidModelError(f"the file has no {name} for {part.place}", where=group.where)
            left.remove(path)
            found.append(group.tensor(path))
        return found


def _variable(path: str) -> str:
    """``conv/kernel:0`` -> ``kernel``."""
    return path.rpartition("/")[2].partition(":")[0]


def _inside(owner: Record, paths: list[str]) -> list[str]:
    """Those of ``paths`` that lead through ``owner``; where names say nothing, all that are there."""
    trail = "/".join(owner.trail).split("/")
    for start in range(len(trail)):
        names = "/" + "/".join(trail[start:]) + "/"
        found = [path for path in paths if names in f"/{path}"]
        if found:
            return found
    return paths if len(owner.trail) == 1 else []


def _own(layer: Record, paths: list[str], where: str) -> list[str]:
    """Those of ``paths`` that are variables of ``layer``: those that agree best with its place."""
    trail = "/".join(layer.trail).split("/")
    scores = {path: _agreement(path.split("/")[:-1], trail) for path in paths}
    best = max(scores.values(), default=(0, 0))
    if best[0] == 0:
        # Early versions of Keras 3 name variables without their layer, as long as each name is there once;
        # and where the group belongs to the layer alone, the names may be anything.
        return paths if len(layer.trail) == 1 else [path for path in paths if "/" not in path]
    own = [path for path in paths if scores[path] == best]
    if len({path.rpartition("/")[0] for path in own}) > 1:
        raise InvalidModelError(
            f"the weights of {layer.place} are ambiguous", where=where, hint="save the model as .keras"
        )
    return own


def _agreement(path: Sequence[str], trail: Sequence[str]) -> tuple[int, int]:
    """How many names agree from the end on; and, the fewer the better, how many in front of them do not."""
    count = 0
    for left, right in zip(reversed(path), reversed(trail), strict=False):
        if left != right:
            break
        count += 1
    return count, count - len(path)
