"""PyTorch rules for what only moves elements."""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.emitters.pytorch.code import call, number, sequence
from mmconvert.emitters.pytorch.writer import Writer
from mmconvert.ir import dims, ops
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op
from mmconvert.ir.types import Layout
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("PyTorch")


@rule(ops.Reshape)
def reshape(node: Node[ops.Reshape], out: Writer) -> str:
    have, want = node.operand(0).type.shape, node.op.shape
    text = out.operand(node.operand(0))
    lead = next(
        (i for i, (a, b) in enumerate(zip(have, want, strict=False)) if a != b), min(len(have), len(want))
    )
    if lead and len(want) == lead + 1 and len(have) > len(want):
        return f"{text}.flatten({lead})"
    return out.view(text, want)


@rule(ops.Transpose)
def transpose(node: Node[ops.Transpose], out: Writer) -> str:
    perm, text = node.op.perm, out.operand(node.operand(0))
    moved = [i for i, p in enumerate(perm) if i != p]
    if len(moved) == 2:
        return f"{text}.transpose({moved[0]}, {moved[1]})"
    return f"{text}.permute({', '.join(map(str, perm))})" if perm else text


@rule(ops.Expand)
def expand(node: Node[ops.Expand], out: Writer) -> str:
    x = node.operand(0)
    skipped = len(node.op.shape) - x.type.rank
    have = (None,) * skipped + x.type.shape
    items = ["-1" if a == b else out.extent(b) for a, b in zip(have, node.op.shape, strict=True)]
    text = out.read(x)
    return f"torch.broadcast_to({text}, {sequence(items) if items else '()'})" if _grows(node) else text


def _grows(node: Node[ops.Expand]) -> bool:
    return node.operand(0).type.shape != node.op.shape


@rule(ops.Squeeze)
def squeeze(node: Node[ops.Squeeze], out: Writer) -> str:
    axes, text = node.op.axes, out.operand(node.operand(0))
    if not axes:
        return text
    return f"{text}.squeeze({axes[0] if len(axes) == 1 else sequence([str(a) for a in axes])})"


@rule(ops.Unsqueeze)
def unsqueeze(node: Node[ops.Unsqueeze], out: Writer) -> str:
    axes = sorted(node.op.axes)
    return out.operand(node.operand(0)) + "".join(f".unsqueeze({a})" for a in axes)


@rule(ops.Concat)
def concat(node: Node[ops.Concat], out: Writer) -> str:
    values = [node.operand(i) for i in range(len(node.inputs))]
    parts = [out.tensor(v) if v.constant is not None else out.name(v) for v in values]
    return call("torch.cat", f"[{', '.join(parts)}]", dim=str(node.op.axis))


@rule(ops.Split)
def split(node: Node[ops.Split], out: Writer) -> str | tuple[str, ...]:
    op = node.op
    sizes = f"[{', '.join(out.extent(s) for s in op.sizes)}]"
    if len(set(op.sizes)) == 1 and op.sizes[0] != 0:
        sizes = out.extent(op.sizes[0])
    text = call("torch.split", out.read(node.operand(0)), sizes, dim=str(op.axis))
    return text if len(op.sizes) > 1 else (f"{text}[0]",)


@rule(ops.Tile)
def tile(node: Node[ops.Tile], out: Writer) -> str:
    repeats = ", ".join(out.extent(r) for r in node.op.repeats)
    text = out.operand(node.operand(0))
    return f"{text}.repeat({repeats})" if repeats else text


@rule(ops.Shape)
def shape(node: Node[ops.Shape], out: Writer) -> str:
    x = out.name(node.operand(0))
    return f"torch.tensor({x}.shape, dtype=torch.int64, device={x}.device)"


@rule(ops.Reverse)
def reverse(node: Node[ops.Reverse], out: Writer) -> str:
    return f"{out.operand(node.operand(0))}.flip({sequence([str(a) for a in node.op.axes])})"


@rule(ops.Fill)
def fill(node: Node[ops.Fill], out: Writer) -> str:
    op = node.op
    value = number(bool(op.value) if op.dtype == dtypes.BOOL else op.value, op.dtype)
    if dtypes.is_integer(op.dtype):
        value = str(int(op.value))
    return call("torch.full", out.shape(op.shape), value, dtype=out.dtype(op.dtype), device=out.device)


@rule(ops.Range)
def range_(node: Node[ops.Range], out: Writer) -> str:
    dtype, size = node.output.type.dtype, out.extent(node.op.size)
    made = call("torch.arange", size, dtype=out.dtype(dtype), device=out.device)
    start, delta = (out.scalar(node.operand(i)) for i in (0, 2))
    step = delta or out.tensor(node.operand(2))
    text = made if step in ("1", "1.0") else f"{made} * {step}"
    first = start or out.tensor(node.operand(0))
    return text if first in ("0", "0.0") else f"{first} + {text}"


@rule(ops.ReadExtents)
def read_extents(node: Node[ops.ReadExtents], out: Writer) -> None:
    x, y = node.operand(0), node.output
    name = out.name(x)
    out.alias(y, name)
    out.bind(node.op.names, f"{name}.tolist()" if not x.type.rank else f"{name}.tolist()[0:]")


_MODES = {"constant": None, "edge": '"replicate"', "reflect": '"reflect"', "wrap": '"circular"'}


@rule(ops.Pad)
def pad(node: Node[ops.Pad], out: Writer) -> str:
    op, x = node.op, node.operand(0)
    out.require(op.mode in _MODES, f"torch has no padding by {op.mode}")
    if op.mode != "constant":
        out.require(
            x.type.rank in (3, 4, 5) and dtypes.is_float(x.type.dtype), "torch pads pictures of floats"
        )
        out.require(not any(b or a for b, a in op.pads[:2]), "torch pads pictures")
        sides = [e for side in op.pads for e in side]
        out.require(all(isinstance(e, int) and e >= 0 for e in sides), "torch takes nothing away there")
        least = 0 if op.mode == "reflect" else -1 if op.mode == "wrap" else None
        for extent, side in zip(x.type.shape, op.pads, strict=True):
            known = isinstance(extent, int) and dims.numbers(side)
            fits = least is None or (known and max(dims.numbers(side)) < dims.numbers((extent,))[0] - least)
            out.require(bool(fits) or not any(side), "torch pads by less than the extent")
    pads = list(op.pads[2:] if op.mode != "constant" else op.pads)
    while op.mode == "constant" and len(pads) > 1 and pads[0] == (0, 0):
        pads.pop(0)
    numbers = ", ".join(f"{out.extent(before)}, {out.extent(after)}" for before, after in reversed(pads))
    value = None if op.mode != "constant" or op.value == 0 else number(op.value)
    if value is not None and x.type.dtype == dtypes.BOOL:
        value = "True"
    elif value is not None and dtypes.is_integer(x.type.dtype):
        value = str(int(op.value))
    return call("F.pad", out.read(x), f"({numbers})", mode=_MODES[op.mode], value=value)


@rule(ops.DepthToSpace)
def depth_to_space(node: Node[ops.DepthToSpace], out: Writer) -> str:
    op = node.op
    out.require(op.layout is Layout.NCHW and op.mode == "CRD", "torch has its own order of channels")
    return f"F.pixel_shuffle({out.read(node.operand(0))}, {op.block})"
