"""PyTorch rules for putting elements into tensors."""

from __future__ import annotations

from mmconvert.emitters.pytorch.code import same
from mmconvert.emitters.pytorch.indexing import counted, positions
from mmconvert.emitters.pytorch.writer import Writer
from mmconvert.ir import dims, ops
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("PyTorch")

_REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@rule(ops.ScatterElements)
def scatter_elements(node: Node[ops.ScatterElements], out: Writer) -> str:
    op, x = node.op, node.operand(0)
    source, updates = (out.tensor(node.operand(i)) for i in (0, 2))
    indices = counted(out, node.operand(1), x, op.axis)
    if op.reduction == "none":
        return f"{source}.scatter({op.axis}, {indices}, {updates})"
    reduction = _REDUCTIONS[op.reduction]
    return f'{source}.scatter_reduce({op.axis}, {indices}, {updates}, "{reduction}")'


@rule(ops.ScatterND)
def scatter_nd(node: Node[ops.ScatterND], out: Writer) -> str:
    op, indices = node.op, node.operand(1)
    depth = indices.type.shape[-1]
    out.require(isinstance(depth, int) and depth > 0, "tuples of an unknown number of positions")
    source, updates = (out.tensor(node.operand(i)) for i in (0, 2))
    places = f"{positions(out, indices)}.unbind(-1)"
    if op.reduction in ("none", "add"):
        more = ", accumulate=True" if op.reduction == "add" else ""
        return f"{source}.index_put({places}, {updates}{more})"
    helper = out.helper("scatter_nd")
    return f'{helper}({source}, {positions(out, indices)}, {updates}, "{_REDUCTIONS[op.reduction]}")'


@rule(ops.UpdateSlice)
def update_slice(node: Node[ops.UpdateSlice], out: Writer) -> str:
    x, update, index = (out.tensor(node.operand(i)) for i in range(3))
    return f"{x}.index_copy({node.op.axis}, {index}.long().reshape(1), {update})"


@rule(ops.Col2Im)
def col2im(node: Node[ops.Col2Im], out: Writer) -> str:
    op = node.op
    out.require(len(op.image) == 2, "torch folds pictures")
    out.require(all(a == b for a, b in op.pads), "torch pads both sides alike")
    image = dims.numbers(op.image) if all(isinstance(e, int) for e in op.image) else None
    out.require(image is not None, "torch folds into a known picture")
    assert image is not None
    x, pads = out.read(node.operand(0)), [b for b, _ in op.pads]
    options = f"dilation={same(op.dilations)}, padding={same(pads)}, stride={same(op.strides)}"
    return f"F.fold({x}, {same(image)}, {same(op.block)}, {options})"
