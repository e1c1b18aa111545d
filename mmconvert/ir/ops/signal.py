"""The discrete Fourier transform."""

from __future__ import annotations

import numpy as np

from mmconvert.ir import dims
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op, operator
from mmconvert.ir.ops.binary import Add
from mmconvert.ir.ops.indexing import Gather
from mmconvert.ir.ops.matmul import MatMul
from mmconvert.ir.ops.pad import Pad
from mmconvert.ir.ops.reduce import widen
from mmconvert.ir.ops.shape import Concat, Transpose, Unsqueeze
from mmconvert.ir.types import Array, Extent, TensorType


@operator
class DFT(Op):
    """``y[k] = sum over n of x[n] * exp(-2 pi i k n / length)`` along ``axis``.

    x: floating point, the last axis of extent 1 (real) or 2 (real and imaginary). ``x`` is cut, or filled
    with zeros, to ``length``. Returns real and imaginary parts in the last axis. ``inverse`` turns the other
    way and divides by ``length``. ``onesided`` keeps the first ``length // 2 + 1`` frequencies, of real
    ``x``; the inverse of these is real, and the last axis has extent 1.
    """

    axis: int
    length: Extent
    inverse: bool = False
    onesided: bool = False

    def infer(self, x: TensorType) -> TensorType:
        x.require_float().require(x.rank >= 2 and self.axis < x.rank - 1, "an axis before the last one")
        parts = (2,) if self.inverse and self.onesided else (1, 2) if not self.onesided else (1,)
        x.require(x.shape[-1] in parts, f"a last axis of {' or '.join(map(str, parts))}")
        half = self.onesided and not self.inverse
        count = dims.floordiv(self.length, 2) + 1 if half else self.length
        real = self.onesided and self.inverse
        return x.with_shape((*x.shape[: self.axis], count, *x.shape[self.axis + 1 : -1], 1 if real else 2))

    def evaluate(self, x: Array) -> Array:
        (length,) = dims.numbers((self.length,))
        wide = widen(x)
        signal = wide[..., 0] if x.shape[-1] == 1 else wide[..., 0] + 1j * wide[..., 1]
        if self.onesided and self.inverse:
            found = np.fft.irfft(signal, n=length, axis=self.axis)[..., None]
        else:
            transform = np.fft.ifft if self.inverse else np.fft.rfft if self.onesided else np.fft.fft
            parts = transform(signal, n=length, axis=self.axis)
            found = np.stack([parts.real, parts.imag], axis=-1)
        return np.asarray(found, x.dtype)

    def decompose(self, b: Builder, x: Value) -> Value | None:
        """Products with matrices of cosines and sines."""
        extent, length = x.type.shape[self.axis], self.length
        if not isinstance(extent, int) or not isinstance(length, int):
            return None
        real, imaginary = self._matrices(length, x.type)
        rank = x.type.rank - 1
        last = (*(a for a in range(rank) if a != self.axis), self.axis)
        back = tuple(last.index(a) for a in range(rank))
        count = len(real)
        lines = [self._line(b, x, part, last, count) for part in range(numbers_of(x.type))]
        found = [self._product(b, lines, *pair) for pair in ((real, -imaginary), (imaginary, real))]
        if self.onesided and self.inverse:
            found = found[:1]
        turned = [b(Unsqueeze(axes=(rank,)), b(Transpose(perm=back), f)) for f in found]
        return b(Concat(axis=rank), *turned) if len(turned) > 1 else turned[0]

    def _line(self, b: Builder, x: Value, part: int, perm: tuple[int, ...], count: int) -> Value:
        """The real or imaginary part with the transformed axis last, ``count`` elements long."""
        line = b(Transpose(perm=perm), b(Gather(axis=x.type.rank - 1), x, np.array(part, np.int64)))
        missing = count - line.type.shape[-1]
        if missing == 0:
            return line
        pads = (*((0, 0) for _ in perm[1:]), (0, missing))
        return b(Pad(pads=pads, mode="constant"), line)

    def _product(self, b: Builder, lines: list[Value], real: Array, imaginary: Array) -> Value:
        found = b(MatMul(), lines[0], real)
        return b(Add(), found, b(MatMul(), lines[1], imaginary)) if len(lines) > 1 else found

    def _matrices(self, length: int, like: TensorType) -> tuple[Array, Array]:
        """Cosines and sines: from each element that is read to each that is made."""
        half = length // 2 + 1
        reads = half if self.onesided and self.inverse else length
        makes = half if self.onesided and not self.inverse else length
        angle = 2 * np.pi * (np.outer(np.arange(reads), np.arange(makes)) % length) / length
        factor = np.ones((reads, 1))
        if self.onesided and self.inverse:
            # Each frequency but the first, and the middle one of an even length, stands for its mirror too.
            factor[1 : (length + 1) // 2] = 2
        scale = factor / length if self.inverse else factor
        sign = 1 if self.inverse else -1
        return (np.cos(angle) * scale).astype(like.dtype), (sign * np.sin(angle) * scale).astype(like.dtype)


def numbers_of(x: TensorType) -> int:
    """1 for a real signal, 2 for a complex one."""
    return 1 if x.shape[-1] == 1 else 2
