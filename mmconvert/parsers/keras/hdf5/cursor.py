"""Reading numbers from bytes that may end at any point."""

from __future__ import annotations

from dataclasses import dataclass, field

from mmconvert.errors import InvalidModelError, UnsupportedError


@dataclass(frozen=True, slots=True)
class Source:
    """The bytes of an HDF5 file and the sizes of numbers in it.

    Attributes:
        view: the bytes.
        where: the file's name, for messages.
        base: what addresses count from.
        offset_size: bytes of an address.
        length_size: bytes of a length.
        heaps: the objects of each heap that was looked into, by their numbers; a heap is at its address.
    """

    view: memoryview
    where: str
    base: int = 0
    offset_size: int = 8
    length_size: int = 8
    heaps: dict[int, dict[int, memoryview]] = field(default_factory=dict, compare=False, repr=False)

    def at(self, address: int, what: str) -> Cursor:
        """A cursor at an address of the file; ``what`` is expected there."""
        return Cursor(self, self.view, self.base + address, what)

    def invalid(self, what: str) -> InvalidModelError:
        """The error for bytes that are not what they should be."""
        return InvalidModelError(f"the HDF5 file is damaged: {what}", where=self.where)

    def unsupported(self, what: str) -> UnsupportedError:
        """The error for parts of HDF5 that Keras does not use."""
        hint = "rewrite the file with h5repack --low=0 --high=0 -f NONE"
        return UnsupportedError(f"HDF5: {what} is not supported", where=self.where, hint=hint)


class Cursor:
    """A position in a piece of the file, which moves on as numbers are taken."""

    __slots__ = ("_view", "_what", "position", "source")

    def __init__(self, source: Source, view: memoryview, position: int, what: str) -> None:
        self.source, self._view, self.position, self._what = source, view, position, what

    @property
    def left(self) -> int:
        """The number of bytes behind the position."""
        return len(self._view) - self.position

    def take(self, count: int) -> memoryview:
        """The next ``count`` bytes.

        Raises:
            InvalidModelError: there are not so many.
        """
        start, self.position = self.position, self.position + count
        if start < 0 or count < 0 or self.position > len(self._view):
            raise self.source.invalid(f"{self._what} reaches beyond the end")
        return self._view[start : self.position]

    def number(self, size: int) -> int:
        """The next number of ``size`` bytes, without a sign."""
        return int.from_bytes(self.take(size), "little")

    def offset(self) -> int | None:
        """The next address, or None for the one that means none."""
        size = self.source.offset_size
        value = int.from_bytes(self.take(size), "little")
        return None if value == (1 << 8 * size) - 1 else value

    def length(self) -> int:
        """The next length."""
        return self.number(self.source.length_size)

    def expect(self, signature: bytes) -> None:
        """Takes ``signature``.

        Raises:
            InvalidModelError: something else stands there.
        """
        if bytes(self.take(len(signature))) != signature:
            raise self.source.invalid(f"{self._what} does not begin with {signature!r}")

    def part(self, count: int) -> Cursor:
        """A cursor over the next ``count`` bytes only."""
        return Cursor(self.source, self.take(count), 0, self._what)
