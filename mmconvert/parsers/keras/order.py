"""The order in which the calls of a network can be made."""

from __future__ import annotations

import heapq

from mmconvert.errors import InvalidModelError
from mmconvert.parsers.keras.source import Call, Network, Record


def schedule(network: Network, where: str) -> list[tuple[Record, int, Call]]:
    """Every call after those whose results it uses, otherwise as the file has them.

    Raises:
        InvalidModelError: a call uses what does not exist, or calls wait for one another.
    """
    calls = [
        (layer, index, call) for layer in network.layers.values() for index, call in enumerate(layer.calls)
    ]
    numbers = {(layer.name, index): number for number, (layer, index, _) in enumerate(calls)}
    given = {(ref.layer, 0) for ref in network.inputs}
    users: list[list[int]] = [[] for _ in calls]
    waiting = [0] * len(calls)
    for number, (layer, _, call) in enumerate(calls):
        for source in {(ref.layer, ref.call) for ref in call.refs()} - given:
            if source not in numbers:
                raise InvalidModelError(
                    f"{layer.place} uses call {source[1]} of {source[0]!r}, which is not there", where=where
                )
            users[numbers[source]].append(number)
            waiting[number] += 1
    ready = [number for number, count in enumerate(waiting) if not count]
    done: list[tuple[Record, int, Call]] = []
    while ready:
        number = heapq.heappop(ready)
        done.append(calls[number])
        for user in users[number]:
            waiting[user] -= 1
            if not waiting[user]:
                heapq.heappush(ready, user)
    if len(done) < len(calls):
        stuck = next(calls[number][0] for number, count in enumerate(waiting) if count)
        raise InvalidModelError(f"{stuck.place} waits for its own result", where=where)
    return done
