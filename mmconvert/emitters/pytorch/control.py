"""PyTorch rules for control flow, as Python's."""

from __future__ import annotations

from mmconvert.emitters.pytorch.writer import Writer
from mmconvert.ir import ops
from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.op import Op
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("PyTorch")


@rule(ops.If)
def if_(node: Node[ops.If], out: Writer) -> None:
    condition = _name(out, node.operand(0))
    names = [_name(out, node.operand(i)) for i in range(1, len(node.inputs))]
    results = [out.fresh(_wanted(v, "result")) for v in node.outputs]
    for header, graph in ((f"if {condition}:", node.op.then_branch), ("else:", node.op.else_branch)):
        with out.block(header):
            _assign(out, results, out.inline(graph, names))
    _named(out, node.outputs, results)


@rule(ops.While)
def while_(node: Node[ops.While], out: Writer) -> None:
    op, state = node.op, [node.operand(i) for i in range(len(node.inputs))]
    names = _state(out, state, op.body)
    with out.block("while True:"):
        (goes_on,) = out.inline(op.condition, names)
        with out.block(f"if not {goes_on}:"):
            out.line("break")
        _assign(out, names, out.inline(op.body, names))
    _named(out, node.outputs, names)


@rule(ops.Loop)
def loop(node: Node[ops.Loop], out: Writer) -> None:
    op, body = node.op, node.op.body
    trip, condition = node.optional(0), node.optional(1)
    operands = [node.operand(i) for i in range(2, len(node.inputs))]
    constant = [_name(out, v) for v in operands[op.carried :]]
    shapes = op.shapes[op.carried :]
    names = _state(out, operands[: op.carried], body, skip=2)
    goes_on = out.let("goes_on", "torch.tensor(True)" if condition is None else _name(out, condition))
    lists = [out.let("collected", "[]") for _ in shapes]
    round_ = out.let("step", f"torch.tensor(0, device={out.device})")
    limit = "" if trip is None else f" and {round_} < {out.scalar(trip) or _name(out, trip)}"
    with out.block(f"while {goes_on}{limit}:"):
        going, *made = out.inline(body, [round_, goes_on, *names, *constant])
        for part, text in zip(lists, made[op.carried :], strict=True):
            out.line(f"{part}.append({text})")
        _assign(out, [goes_on, *names], [going, *made[: op.carried]])
        out.line(f"{round_} = {round_} + 1")
    _named(out, node.outputs[: op.carried], names)
    for value, part in zip(node.outputs[op.carried :], lists, strict=True):
        shape = (0, *(e if isinstance(e, int) else 0 for e in value.type.shape[1:]))
        nothing = f"torch.empty({out.shape(shape)}, dtype={out.dtype(value.type.dtype)})"
        out.assign(value, f"torch.stack({part}) if {part} else {nothing}")


@rule(ops.Scan)
def scan(node: Node[ops.Scan], out: Writer) -> None:
    op, body = node.op, node.op.body
    operands = [node.operand(i) for i in range(len(node.inputs))]
    last = op.carried + len(op.axes)
    sequences = [_name(out, v) for v in operands[op.carried : last]]
    constant = [_name(out, v) for v in operands[last:]]
    names = _state(out, operands[: op.carried], body)
    lists = [out.let("steps", "[]") for _ in op.output_axes]
    parts = []
    for name, axis, backwards in zip(sequences, op.axes, op.reverse, strict=True):
        flipped = f"{name}.flip({axis})" if backwards else name
        parts.append(f"{flipped}.unbind({axis})" if axis or backwards else name)
    slices = [out.fresh(_wanted(v, "step")) for v in body.inputs[op.carried : last]]
    header = f"for {', '.join(slices)} in " + (parts[0] if len(parts) == 1 else f"zip({', '.join(parts)})")
    with out.block(f"{header}:"):
        made = out.inline(body, [*names, *slices, *constant])
        for part, text in zip(lists, made[op.carried :], strict=True):
            out.line(f"{part}.append({text})")
        _assign(out, names, made[: op.carried])
    _named(out, node.outputs[: op.carried], names)
    for value, part, axis, backwards in zip(
        node.outputs[op.carried :], lists, op.output_axes, op.output_reverse, strict=True
    ):
        ordered = f"{part}[::-1]" if backwards else part
        out.assign(value, f"torch.stack({ordered}{f', dim={axis}' if axis else ''})")


def _name(out: Writer, value: Value) -> str:
    return out.tensor(value) if value.constant is not None else out.name(value)


def _wanted(value: Value, default: str) -> str:
    last = value.name.replace(".", "/").rsplit("/", 1)[-1]
    return last if last.isidentifier() else default


def _state(out: Writer, values: list[Value], body: Graph, skip: int = 0) -> list[str]:
    """Names for what the rounds change, with its first value."""
    taken = body.inputs[skip : skip + len(values)]
    return [out.let(_wanted(t, "state"), _name(out, v)) for v, t in zip(values, taken, strict=True)]


def _assign(out: Writer, names: list[str], texts: list[str]) -> None:
    """All at once: one may be made of another."""
    pairs = [(n, t) for n, t in zip(names, texts, strict=True) if n != t]
    if pairs:
        left, right = (", ".join(side) for side in zip(*pairs, strict=True))
        out.line(f"{left} = {right}")


def _named(out: Writer, values: tuple[Value, ...], names: list[str]) -> None:
    for value, name in zip(values, names, strict=True):
        out.alias(value, name)
