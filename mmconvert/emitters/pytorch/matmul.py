"""PyTorch rules for matrix products."""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.emitters.pytorch.code import bound, call, number
from mmconvert.emitters.pytorch.writer import Writer
from mmconvert.ir import ops
from mmconvert.ir.graph import Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("PyTorch")


@rule(ops.MatMul)
def matmul(node: Node[ops.MatMul], out: Writer) -> str:
    a, b = node.operand(0), node.operand(1)
    if a.constant is None and b.constant is not None and b.type.rank == 2 and a.type.rank > 1:
        add = _bias_behind(node, b.constant.shape[1])
        bias = add[1] if add is not None else None
        if _is_layer(out, b, bias):
            if add is not None:
                out.done.add(add[0])
            return _linear(node, out, b, bias, transposed=False)
        if out.layers.keeps_names and b.name and dtypes.is_float(b.type.dtype):
            if add is not None:
                out.done.add(add[0])
            return _functional(node, out, b, bias)
    if a is b:
        return f"torch.matmul({out.name(a)}, {out.name(b)})"
    return f"torch.matmul({out.tensor(a)}, {out.tensor(b)})"


@rule(ops.Gemm)
def gemm(node: Node[ops.Gemm], out: Writer) -> str:
    op, a, b, c = node.op, node.operand(0), node.operand(1), node.optional(2)
    plain = op.alpha == 1 and (op.beta == 1 or c is None) and not op.transpose_a
    filters = b.type.shape[0 if op.transpose_b else 1]
    vector = c is None or (c.constant is not None and c.type.size == filters == c.type.shape[-1:][0])
    if plain and vector and a.constant is None and b.constant is not None and _is_layer(out, b, c):
        return _linear(node, out, b, c, transposed=op.transpose_b)
    left, right = out.operand(a), out.operand(b) if a is not b else bound(out.name(b))
    text = f"{left}{'.T' * op.transpose_a} @ {right}{'.T' * op.transpose_b}"
    whole = dtypes.is_integer(a.type.dtype)
    if op.alpha != 1:
        text = f"{number(int(op.alpha) if whole else op.alpha)} * ({text})"
    if c is None:
        return text
    added = out.operand(c)
    beta = "" if op.beta == 1 else f"{number(int(op.beta) if whole else op.beta)} * "
    return f"{text} + {beta}{added}"


@rule(ops.Einsum)
def einsum(node: Node[ops.Einsum], out: Writer) -> str:
    operands = [out.name(node.operand(i)) for i in range(len(node.inputs))]
    return call("torch.einsum", f'"{node.op.equation.replace(" ", "")}"', *operands)


def _bias_behind(node: Node[ops.MatMul], filters: int) -> tuple[Node[Op], Value] | None:
    """The addition of a constant vector that alone uses the product, and that constant."""
    if len(node.output.uses) != 1:
        return None
    (add,) = node.output.users
    if not is_op(add, ops.Add):
        return None
    bias = add.operand(1) if add.operand(0) is node.output else add.operand(0)
    fits = bias.constant is not None and bias.constant.shape[-1:] == (filters,) == (bias.constant.size,)
    return (add, bias) if fits and add.output.type == node.output.type else None


def _is_layer(out: Writer, weight: Value, bias: Value | None) -> bool:
    floating = dtypes.is_float(weight.type.dtype)
    return floating and out.layers.is_module({"weight": weight, "bias": bias})


def _linear(node: Node[Op], out: Writer, weight: Value, bias: Value | None, *, transposed: bool) -> str:
    assert weight.constant is not None
    stored = weight.constant if transposed else weight.constant.transpose((1, 0))
    state = {"weight": stored}
    if bias is not None and bias.constant is not None:
        state["bias"] = bias.constant.reshape((bias.constant.size,))
    filters, channels = stored.shape
    made = call(
        "nn.Linear",
        str(channels),
        str(filters),
        bias="False" if bias is None else None,
        dtype=None if weight.type.dtype == dtypes.F32 else out.dtype(weight.type.dtype),
    )
    return f"{out.layers.layer(node, made, state, [weight, bias])}({out.read(node.operand(0))})"


def _functional(node: Node[Op], out: Writer, weight: Value, bias: Value | None) -> str:
    """With weights that the source has, as torch stores them, beside its layers."""
    x = out.read(node.operand(0))
    stored = out.turned(weight)
    return call("F.linear", x, stored, *([out.read(bias)] if bias is not None else []))
