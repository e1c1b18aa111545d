"""What moves elements and leaves their values alone."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

from mmconvert.ir import dims, ops
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Value
from mmconvert.ir.types import Layout, Shape
from mmconvert.parsers.ncnn.extents import evaluate
from mmconvert.parsers.ncnn.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("NCNN")

ABSENT = -233


@rule("Split")
def split(layer: Source) -> tuple[Value, ...]:
    layer.only(1)
    return (layer.x,) * len(layer.stored.layer.outputs)


@rule("Noop")
def noop(layer: Source) -> tuple[Value, ...]:
    return tuple(layer.inputs)


@rule("DeepCopy")
def deep_copy(layer: Source) -> Value:
    return layer.x


@rule("MemoryData")
def memory_data(layer: Source) -> Value:
    extents = [layer.p.count(name) for name in ("c", "d", "h", "w")]
    layer.p.integer("load_type")
    return layer.constant("data", (1, *(extent for extent in extents if extent)))


@rule("Concat")
def concat(layer: Source) -> Value:
    axis = layer.axis(layer.p.integer("axis"))
    return layer.b(ops.Concat(axis=axis), *layer.inputs)


@rule("Slice")
def slice_(layer: Source) -> tuple[Value, ...]:
    axis = layer.axis(layer.p.integer("axis"))
    extent, count = layer.x.type.shape[axis], len(layer.stored.layer.outputs)
    cuts, sizes = layer.p.integers("indices"), layer.p.integers("slices")
    if cuts:
        places: list[Extent] = [0, *(cut if cut >= 0 else extent + cut for cut in cuts), extent]
        found = [b - a for a, b in itertools.pairwise(places)]
    else:
        found = _shares(sizes, extent)
    if len(found) != count:
        raise layer.invalid(f"{len(found)} parts for {count} outputs")
    return layer.b.multi(ops.Split(axis=axis, sizes=tuple(found)), layer.x)


def _shares(sizes: Sequence[int], extent: Extent) -> list[Extent]:
    """Sizes, of which those that are left open share the rest."""
    found: list[Extent] = []
    left = extent
    for i, size in enumerate(sizes):
        share = dims.floordiv(left, len(sizes) - i) if size == ABSENT else size
        found.append(share)
        left = left - share
    return found


@rule("Crop")
def crop(layer: Source) -> Value:
    extents = list(layer.x.type.shape)
    if layer.p.text("starts_expr") or layer.p.text("ends_expr"):
        starts, ends, axes = (
            evaluate(layer.p.text(f"{n}_expr") or "", layer) for n in ("starts", "ends", "axes")
        )
        return _cropped(layer, [int(str(a)) for a in axes], starts, ends)
    names = ("starts", "ends", "axes")
    if layer.p.integers("starts") or layer.p.integers("ends"):
        first, last, places = (list(layer.p.integers(name)) for name in names)
        places = places or list(range(len(first)))
        if not len(first) == len(last) == len(places):
            raise layer.invalid("a crop has one start and one end for each axis")
        return _cropped(layer, places, list(first), list(last))
    return _by_letters(layer, extents)


def _cropped(layer: Source, axes: list[int], starts: Sequence[Extent], ends: Sequence[Extent]) -> Value:
    places, begins, sizes = [], [], []
    for axis, start, end in zip(axes, starts, ends, strict=True):
        place = layer.axis(axis)
        extent = layer.x.type.shape[place]
        begin = 0 if start == ABSENT else _counted(start, extent)
        stop = extent if end in (ABSENT, 0) else _counted(end, extent)
        if isinstance(stop, int) and isinstance(extent, int):
            stop = min(stop, extent)
        places.append(place)
        begins.append(begin)
        sizes.append(stop - begin)
    op = ops.Slice(axes=tuple(places), starts=tuple(begins), sizes=tuple(sizes), steps=(1,) * len(places))
    return layer.b(op, layer.x)


def _counted(place: Extent, extent: Extent) -> Extent:
    """A place counted from the front."""
    return extent + place if isinstance(place, int) and place < 0 else place


def _by_letters(layer: Source, extents: list[Extent]) -> Value:
    """A crop with an offset and an extent for each axis, or the extents of another blob."""
    letters = {1: "w", 2: "hw", 3: "chw", 4: "cdhw"}[layer.rank()]
    other = layer.operand(1) if len(layer.inputs) > 1 else None
    places, starts, sizes = [], [], []
    for i, letter in enumerate(letters):
        start = layer.p.integer(f"{letter}offset")
        size, beyond = layer.p.integer(f"out{letter}"), layer.p.integer(f"{letter}offset2")
        extent = extents[1 + i]
        if other is not None:
            rank = layer.rank(other)
            if letter == "c" and rank < 3:
                continue
            wanted = other.type.shape[1 + i - (layer.rank() - rank)]
        else:
            room = extent - start - beyond
            wanted = room if size == ABSENT else dims.minimum(size, room)
        if start == ABSENT:
            start = dims.numbers((dims.floordiv(extent - wanted, 2),))[0]
        if (start, wanted) != (0, extent):
            places.append(1 + i)
            starts.append(start)
            sizes.append(wanted)
    for letter in set("wdhc") - set(letters):
        for name in (f"{letter}offset", f"out{letter}", f"{letter}offset2"):
            layer.p.integer(name)
    if not places:
        return layer.x
    op = ops.Slice(axes=tuple(places), starts=tuple(starts), sizes=tuple(sizes), steps=(1,) * len(places))
    return layer.b(op, layer.x)


@rule("Permute")
def permute(layer: Source) -> Value:
    rank, number = layer.rank(), layer.p.count("order_type")
    orders = list(itertools.permutations(range(rank)))
    if number >= len(orders):
        raise layer.invalid(f"there is no order {number} of {rank} axes")
    return layer.b(ops.Transpose(perm=(0, *(axis + 1 for axis in orders[number]))), layer.x)


@rule("Reshape")
def reshape(layer: Source) -> Value:
    if any(layer.p.integer(f"{end}_batch_axis") != 233 for end in ("input", "output")):
        raise layer.unsupported("a Reshape that moves the batch axis")
    if text := layer.p.text("shape_expr"):
        wanted = list(reversed(evaluate(text, layer)))
        if not 1 <= len(wanted) <= 4:
            raise layer.invalid(f"there are no blobs of rank {len(wanted)}")
        return layer.reshape(layer.x, (1, *_copied(layer, wanted)))
    given = {name: layer.p.integer(name) for name in "cdhw"}
    names = [name for name in "cdhw" if given[name] != ABSENT]
    if "".join(names) not in ("w", "hw", "chw", "cdhw"):
        raise layer.invalid(f"there is no blob with the axes {names}")
    return layer.reshape(layer.x, (1, *_copied(layer, [given[name] for name in names])))


def _copied(layer: Source, wanted: list[Extent]) -> Shape:
    """A shape with what stands for "as in the input" and "the rest" put in."""
    letters = {1: "w", 2: "hw", 3: "chw", 4: "cdhw"}
    own = dict(zip(letters[layer.rank()], layer.x.type.shape[1:], strict=True))
    shape = [
        own.get(letter, 1) if extent == 0 else extent
        for letter, extent in zip(letters[len(wanted)], wanted, strict=True)
    ]
    open_ = [i for i, extent in enumerate(shape) if extent == -1]
    if len(open_) > 1:
        raise layer.invalid(f"the shape {wanted} is open along {len(open_)} axes")
    for i in open_:
        known = dims.product(tuple(extent for k, extent in enumerate(shape) if k != i))
        if known == 0:
            raise layer.invalid("a blob is not empty")
        shape[i] = dims.floordiv(dims.product(layer.x.type.shape), known)
    return tuple(shape)


@rule("Flatten")
def flatten(layer: Source) -> Value:
    return layer.reshape(layer.x, (1, dims.product(layer.x.type.shape)))


@rule("Squeeze")
def squeeze(layer: Source) -> Value:
    axes = layer.p.integers("axes")
    flags = {name: layer.p.flag(f"squeeze_{name}") for name in "whdc"}
    letters = {1: "w", 2: "hw", 3: "chw", 4: "cdhw"}[layer.rank()]
    places = {layer.axis(a) for a in axes} if axes else {1 + i for i, n in enumerate(letters) if flags[n]}
    dropped = sorted(place for place in places if layer.x.type.shape[place] == 1)
    if len(dropped) == layer.rank():
        dropped = dropped[:-1]
    return layer.b(ops.Squeeze(axes=tuple(dropped)), layer.x) if dropped else layer.x


@rule("ExpandDims")
def expand_dims(layer: Source) -> Value:
    rank = layer.rank() + len(layer.p.integers("axes"))
    axes = tuple(sorted(axis % rank + 1 for axis in layer.p.integers("axes")))
    return layer.b(ops.Unsqueeze(axes=axes), layer.x)


@rule("Padding")
def padding(layer: Source) -> Value:
    rank, kind = layer.rank(), layer.p.integer("type")
    sides = {"w": ("left", "right"), "h": ("top", "bottom")}
    letters = {1: "w", 2: "hw", 3: "fhw", 4: "xfhw"}[rank]
    sides["f"] = ("front", "behind")
    pads = {letter: tuple(layer.p.integer(name) for name in names) for letter, names in sides.items()}
    wanted = [
        (0, 0),
        *((pads[letter][0], pads[letter][1]) if letter in pads else (0, 0) for letter in letters),
    ]
    value = layer.p.real("value")
    if layer.p.count("per_channel_pad_data_size"):
        values = set(layer.weight("values").numpy().tolist())
        if len(values) != 1:
            raise layer.unsupported("a padding of its own for each channel")
        (value,) = values
    if not 0 <= kind <= 2:
        raise layer.invalid(f"there is no padding of type {kind}")
    modes = ("constant", "edge", "reflect")
    return layer.b(ops.Pad(pads=tuple(wanted), mode=modes[kind], value=value), layer.x)  # type: ignore[arg-type]


@rule("Tile")
def tile(layer: Source) -> Value:
    given = layer.p.integers("repeats")
    rank = layer.rank()
    if not given:
        axis, count = layer.axis(layer.p.integer("axis")), layer.p.count("tiles", 1)
        repeats = tuple(count if a == axis else 1 for a in range(rank + 1))
        return layer.b(ops.Tile(repeats=repeats), layer.x)
    layer.p.integer("axis")
    layer.p.integer("tiles")
    x = layer.x
    if len(given) > rank:
        x = layer.reshape(x, (1, *(1,) * (len(given) - rank), *x.type.shape[1:]))
    return layer.b(ops.Tile(repeats=(1, *(1,) * (rank - len(given)), *given)), x)


@rule("Flip")
def flip(layer: Source) -> Value:
    return layer.b(ops.Reverse(axes=tuple(layer.axis(a) for a in layer.p.integers("axes"))), layer.x)


@rule("CumulativeSum")
def cumulative_sum(layer: Source) -> Value:
    return layer.b(ops.CumSum(axis=layer.axis(layer.p.integer("axis"))), layer.x)


@rule("PixelShuffle")
def pixel_shuffle(layer: Source) -> Value:
    mode: Literal["DCR", "CRD"] = "DCR" if layer.p.flag("mode") else "CRD"
    block = layer.p.count("upscale_factor", 1)
    return layer.b(ops.DepthToSpace(block=block, mode=mode, layout=Layout.NCHW), layer.x)


@rule("Reorg")
def reorg(layer: Source) -> Value:
    block, (_, c, h, w) = layer.p.count("stride", 1), _picture(layer)
    if layer.p.flag("mode"):
        return layer.b(ops.SpaceToDepth(block=block, layout=Layout.NCHW), layer.x)
    high, wide = dims.floordiv(h, block), dims.floordiv(w, block)
    parts = layer.reshape(layer.x, (1, c, high, block, wide, block))
    turned = layer.b(ops.Transpose(perm=(0, 1, 3, 5, 2, 4)), parts)
    return layer.reshape(turned, (1, c * (block * block), high, wide))


@rule("ShuffleChannel")
def shuffle_channel(layer: Source) -> Value:
    group, (_, c, h, w) = layer.p.count("group", 1), _picture(layer)
    others = dims.floordiv(c, group)
    cut = (others, group) if layer.p.flag("reverse") else (group, others)
    turned = layer.b(ops.Transpose(perm=(0, 2, 1, 3, 4)), layer.reshape(layer.x, (1, *cut, h, w)))
    return layer.reshape(turned, (1, c, h, w))


def _picture(layer: Source) -> Shape:
    if layer.rank() != 3:
        raise layer.invalid(f"{layer.kind} takes a picture, not {layer.x.type}")
    return layer.x.type.shape


@rule("GLU")
def glu(layer: Source) -> Value:
    axis = layer.axis(layer.p.integer("axis"))
    half = dims.floordiv(layer.x.type.shape[axis], 2)
    first, second = layer.b.multi(ops.Split(axis=axis, sizes=(half, half)), layer.x)
    return layer.b(ops.Mul(), first, layer.b(ops.Sigmoid(), second))
