"""Sums of products over named axes, by way of matrix products where there are two operands."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmconvert.errors import InferenceError
from mmconvert.ir import dims
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op, operator
from mmconvert.ir.ops.binary import Mul
from mmconvert.ir.ops.indexing import Slice
from mmconvert.ir.ops.logic import require_same_dtype
from mmconvert.ir.ops.matmul import MatMul, multiply
from mmconvert.ir.ops.reduce import ReduceSum, widen
from mmconvert.ir.ops.shape import Reshape, Transpose, Unsqueeze
from mmconvert.ir.types import Array, Shape, TensorType, broadcast

_LETTERS = frozenset(string.ascii_letters)
_UNNAMED = 0x100  # the axes of "..." are labelled from this code point on, counted from the last one


@operator
class Einsum(Op):
    """The sum over all labelled axes that the output does not name, of the product of the operands.

    ``equation`` is Einstein's notation as NumPy and ONNX have it: ``"bij,bjk->bik"``. A label is a letter,
    and may stand twice in a term (a diagonal); ``...`` stands for the axes that are not labelled, which
    broadcast. Without ``->`` the output has the ``...`` axes, then the labels that stand once, in
    alphabetical order.

    xs: numeric, of one type.
    """

    equation: str

    def infer(self, *xs: TensorType) -> TensorType:
        if not xs:
            raise InferenceError("there is nothing to sum")
        require_same_dtype(xs[0].require_numeric(), *xs[1:])
        terms, output = parse(self.equation, tuple(x.rank for x in xs))
        extents: dict[str, Extent] = {}
        for x, term in zip(xs, terms, strict=True):
            for label, extent in zip(term, x.shape, strict=True):
                known = x.with_shape((extents.get(label, 1),))
                (extents[label],) = broadcast(known, x.with_shape((extent,)))
        return xs[0].with_shape(tuple(extents[label] for label in output))

    def evaluate(self, *xs: Array) -> Array:
        terms, output = parse(self.equation, tuple(x.ndim for x in xs))
        product = find_product(terms, output, tuple(x.shape for x in xs))
        if product is None:
            y = np.einsum(self.equation, *map(widen, xs), optimize=len(xs) > 2)
            return np.array(y, dtype=xs[0].dtype)
        a = xs[0].transpose(product.left_perm).reshape(dims.numbers(product.left))
        b = xs[1].transpose(product.right_perm).reshape(dims.numbers(product.right))
        return multiply(a, b).reshape(dims.numbers(product.shape)).transpose(product.perm)

    def decompose(self, b: Builder, *xs: Value) -> Value | None:
        """Diagonals are sliced out and lone sums taken first; then operands are multiplied two by two."""
        terms, output = parse(self.equation, tuple(x.type.rank for x in xs))
        if any(len(set(term)) < len(term) for term in terms):
            return _without_diagonals(b, xs, terms, output)
        if len(xs) == 1:
            return _sum_one(b, xs[0], terms[0], output)
        if len(xs) > 2:
            return _pair_first(b, xs, terms, output)
        product = find_product(terms, output, tuple(x.type.shape for x in xs))
        if product is None:
            return _multiplied(b, xs, terms, output)
        left = b(Reshape(shape=product.left), b(Transpose(perm=product.left_perm), xs[0]))
        right = b(Reshape(shape=product.right), b(Transpose(perm=product.right_perm), xs[1]))
        whole = b(Reshape(shape=product.shape), b(MatMul(), left, right))
        return b(Transpose(perm=product.perm), whole)


def _sum_one(b: Builder, x: Value, term: str, output: str) -> Value:
    summed = tuple(axis for axis, label in enumerate(term) if label not in output)
    kept = [label for label in term if label in output]
    total = b(ReduceSum(axes=summed, keepdims=False), x) if summed else x
    return b(Transpose(perm=tuple(kept.index(label) for label in output)), total)


def _without_diagonals(b: Builder, xs: Sequence[Value], terms: Sequence[str], output: str) -> Value | None:
    """One operand less in which a label stands twice: of a square laid flat, every ``n + 1``th is taken."""
    index = next(i for i, term in enumerate(terms) if len(set(term)) < len(term))
    x, term = xs[index], terms[index]
    label = next(c for c in term if term.count(c) > 1)
    second = term.rindex(label)
    first = term.rindex(label, 0, second)
    rest = [axis for axis in range(len(term)) if axis not in (first, second)]
    extent = x.type.shape[first]
    if not isinstance(extent, int) or extent != x.type.shape[second]:
        return None
    x = b(Transpose(perm=(*rest, first, second)), x)
    x = b(Reshape(shape=(*x.type.shape[:-2], extent * extent)), x)
    x = b(Slice(axes=(len(rest),), starts=(0,), sizes=(extent,), steps=(extent + 1,)), x)
    left = "".join(term[axis] for axis in rest) + label
    return _sum(b, [*xs[:index], x, *xs[index + 1 :]], [*terms[:index], left, *terms[index + 1 :]], output)


def _pair_first(b: Builder, xs: Sequence[Value], terms: Sequence[str], output: str) -> Value:
    """The product of the first two operands with what the others and the output need, then the rest."""
    needed = set(output).union(*terms[2:])
    kept = "".join(c for c in dict.fromkeys(terms[0] + terms[1]) if c in needed)
    return _sum(b, [_sum(b, xs[:2], terms[:2], kept), *xs[2:]], [kept, *terms[2:]], output)


def _multiplied(b: Builder, xs: Sequence[Value], terms: Sequence[str], output: str) -> Value:
    """Two operands, element by element: one axis for each label, of extent 1 where an operand lacks it."""
    labels = list(dict.fromkeys("".join(terms)))
    factors = []
    for x, term in zip(xs, terms, strict=True):
        turned = b(Transpose(perm=tuple(term.index(c) for c in labels if c in term)), x)
        lacking = tuple(i for i, c in enumerate(labels) if c not in term)
        factors.append(b(Unsqueeze(axes=lacking), turned) if lacking else turned)
    return _sum_one(b, b(Mul(), *factors), "".join(labels), output)


def _sum(b: Builder, xs: Sequence[Value], terms: Sequence[str], output: str) -> Value:
    """An Einsum over labels that need not be letters."""
    names = dict(zip(dict.fromkeys("".join(terms)), string.ascii_letters, strict=False))
    written = ["".join(names[label] for label in term) for term in (*terms, output)]
    return b(Einsum(equation=f"{','.join(written[:-1])}->{written[-1]}"), *xs)


@dataclass(frozen=True, slots=True)
class Product:
    """How two operands become stacks of matrices, and their product the output.

    Each operand is transposed (``left_perm``, ``right_perm``) and reshaped (``left``, ``right``); the matrix
    product is reshaped to ``shape`` and transposed by ``perm``.
    """

    left_perm: tuple[int, ...]
    left: Shape
    right_perm: tuple[int, ...]
    right: Shape
    shape: Shape
    perm: tuple[int, ...]


def find_product(terms: tuple[str, ...], output: str, shapes: tuple[Shape, ...]) -> Product | None:
    """The matrix product that an equation stands for, or None.

    There is none unless there are two operands, without diagonals, without axes that one operand alone sums
    over, and without axes of extent 1 that broadcast to those of the other.
    """
    if len(terms) != 2 or any(len(set(term)) < len(term) for term in terms):
        return None
    a, b = terms
    first, second = (dict(zip(term, shape, strict=True)) for term, shape in zip(terms, shapes, strict=True))
    common = [label for label in a if label in b]
    own_a, own_b = ([label for label in term if label not in common] for term in terms)
    if any(label not in output for label in (*own_a, *own_b)) or any(first[x] != second[x] for x in common):
        return None
    shared = [label for label in common if label in output]
    summed = [label for label in common if label not in output]
    stack = tuple(first[label] for label in shared)
    rows, columns = tuple(first[label] for label in own_a), tuple(second[label] for label in own_b)
    depth = dims.product(tuple(first[label] for label in summed))
    made = [*shared, *own_a, *own_b]
    return Product(
        left_perm=tuple(a.index(label) for label in (*shared, *own_a, *summed)),
        left=(*stack, dims.product(rows), depth),
        right_perm=tuple(b.index(label) for label in (*shared, *summed, *own_b)),
        right=(*stack, depth, dims.product(columns)),
        shape=(*stack, *rows, *columns),
        perm=tuple(made.index(label) for label in output),
    )


def parse(equation: str, ranks: tuple[int, ...]) -> tuple[tuple[str, ...], str]:
    """The labels of the axes of each operand and of the output, one character each, ``...`` spelled out.

    Raises:
        InferenceError: the equation is malformed, or does not fit operands of these ``ranks``.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    written = left.split(",")
    if len(written) != len(ranks):
        raise InferenceError(f"{equation!r} is about {len(written)} operands, not {len(ranks)}")
    terms = tuple(_spell(term, rank, equation) for term, rank in zip(written, ranks, strict=True))
    labels = "".join(terms)
    unnamed = "".join(sorted({label for label in labels if label not in _LETTERS}, reverse=True))
    if arrow:
        output = _checked(right, equation).replace("...", unnamed)
    else:
        output = unnamed + "".join(sorted(c for c in _LETTERS if labels.count(c) == 1))
    if len(set(output)) < len(output) or not set(unnamed) <= set(output) <= set(labels):
        raise InferenceError(f"the output of {equation!r} has a label twice, or one too many, or no '...'")
    return terms, output


def _spell(term: str, rank: int, equation: str) -> str:
    before, dots, after = _checked(term, equation).partition("...")
    free = rank - len(before) - len(after)
    if free < 0 or (free and not dots):
        raise InferenceError(f"the term {term!r} of {equation!r} does not fit a tensor of rank {rank}")
    return before + "".join(chr(_UNNAMED + i) for i in reversed(range(free))) + after


def _checked(term: str, equation: str) -> str:
    if not set(term.replace("...", "", 1)) <= _LETTERS:
        raise InferenceError(f"the term {term!r} of {equation!r} has more than letters and one '...'")
    return term
