"""Minimum cut of a directed graph with capacities (Dinic's algorithm)."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

INFINITE = 1 << 62


class MinimumCut(Generic[K]):
    """Splits keys into a source side and a sink side at the least total capacity.

    Deterministic: keys keep the order in which they were first mentioned.
    """

    def __init__(self, source: K, sink: K) -> None:
        self._index: dict[K, int] = {}
        self._heads: list[list[int]] = []  # edges that leave a node; edge e and its reverse e ^ 1
        self._to: list[int] = []
        self._room: list[int] = []
        self._source, self._sink = self._node(source), self._node(sink)

    def connect(self, a: K, b: K, capacity: int) -> None:
        """Cutting ``a`` (source side) from ``b`` (sink side) costs ``capacity``."""
        u, v = self._node(a), self._node(b)
        for start, end, room in ((u, v, capacity), (v, u, 0)):
            self._heads[start].append(len(self._to))
            self._to.append(end)
            self._room.append(room)

    def source_side(self) -> set[K]:
        """The keys on the source side of a cheapest cut (the smallest such set)."""
        while (levels := self._levels())[self._sink] >= 0:
            following = [0] * len(self._heads)
            while self._push(levels, following):
                pass
        return {key for key, node in self._index.items() if levels[node] >= 0}

    def _node(self, key: K) -> int:
        if key not in self._index:
            self._index[key] = len(self._heads)
            self._heads.append([])
        return self._index[key]

    def _levels(self) -> list[int]:
        levels = [-1] * len(self._heads)
        levels[self._source] = 0
        queue = deque([self._source])
        while queue:
            node = queue.popleft()
            for edge in self._heads[node]:
                if self._room[edge] and levels[self._to[edge]] < 0:
                    levels[self._to[edge]] = levels[node] + 1
                    queue.append(self._to[edge])
        return levels

    def _push(self, levels: list[int], following: list[int]) -> bool:
        """Sends flow along one shortest path; False when there is none left."""
        path: list[int] = []
        node = self._source
        while node != self._sink:
            edges = self._heads[node]
            while following[node] < len(edges):
                edge = edges[following[node]]
                if self._room[edge] and levels[self._to[edge]] == levels[node] + 1:
                    break
                following[node] += 1
            if following[node] == len(edges):
                if not path:
                    return False
                levels[node] = -1
                node = self._to[path.pop() ^ 1]
                continue
            path.append(edges[following[node]])
            node = self._to[path[-1]]
        flow = min(self._room[edge] for edge in path)
        for edge in path:
            self._room[edge] -= flow
            self._room[edge ^ 1] += flow
        return True
