"""Pickles are read and never run: gadgets that would run, names that attacks use, bombs."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mmconvert.errors import InvalidModelError, MMConvertError, UnsupportedError
from mmconvert.parsers.pytorch.audit import audit, exit_code
from mmconvert.parsers.pytorch.pickled import Call, Global, Pairs, Pickle
from mmconvert.parsers.pytorch.weights import kind_of, read_weights
from tests.parsers.pytorch import gadgets

SECONDS = 30
"""What reading one bomb may take, on a machine that does other things beside; most take hundredths."""

MEMORY = 3 << 30
"""The address space of the process that reads the bombs, Python and NumPy included."""


def refused(path: Path, content: bytes) -> MMConvertError:
    """The error of reading ``content``, bare and as the archive that torch would make of it."""
    path.write_bytes(gadgets.zipped(content))
    with pytest.raises((InvalidModelError, UnsupportedError)):
        read_weights(path, kind_of(path, path.read_bytes()[:512]))
    path.write_bytes(content)
    with pytest.raises((InvalidModelError, UnsupportedError)) as caught:
        read_weights(path, "pickle")
    return caught.value


GADGETS = tuple(gadgets.running("canary"))


@pytest.mark.parametrize("name", GADGETS)
def test_a_gadget_runs_in_pickle_and_not_here(name: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.with_suffix(".py").write_text(f"open({str(canary)!r}, 'w').close()")
    content = gadgets.running(str(canary))[name]
    error = refused(tmp_path / "w.pth", content)
    found = audit(tmp_path / "w.pth")
    assert exit_code(found) in (3, 4)
    assert exit_code(found) == error.exit_code
    assert not canary.exists(), "something was run"
    code = f"import pickle; pickle.loads({content!r})"
    subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    deadline = time.monotonic() + 5
    while not canary.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert canary.exists(), "the gadget does nothing, and proves nothing"


@pytest.mark.parametrize("name", gadgets.NAMED)
def test_names_are_refused_before_anything_is_looked_for(name: str, tmp_path: Path) -> None:
    before = set(sys.modules)
    error = refused(tmp_path / "w.pth", gadgets.NAMED[name])
    assert name in str(error)
    new = set(sys.modules) - before
    assert not [module for module in new if module.split(".")[0] == name.split(".")[0]]


def test_nothing_at_all_is_imported_or_run(tmp_path: Path) -> None:
    """Python's own audit events, while every hostile pickle is read."""
    events: list[str] = []
    watching = False

    def watch(event: str, _: tuple[Any, ...]) -> None:
        if watching and event.split(".")[0] in ("os", "subprocess", "exec", "pickle", "import", "ctypes"):
            events.append(event)

    files = [*gadgets.running(str(tmp_path / "canary")).values(), *gadgets.NAMED.values()]
    for content in files:  # whatever the reader itself imports, it has imported then
        with pytest.raises(MMConvertError):
            _require(content)
    sys.addaudithook(watch)
    for content in files:
        watching = True
        try:
            _require(content)
        except MMConvertError:
            pass
        finally:
            watching = False
    assert events == []


def _require(content: bytes) -> None:
    from mmconvert.parsers.pytorch.weights import unpickled

    unpickled(memoryview(content), "w.pth")


@pytest.mark.timeout(600)
def test_bombs_end_soon_and_in_little_memory(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.parsers.pytorch.bombs", str(tmp_path), str(SECONDS), str(MEMORY)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"{lines[-1:]}\n{done.stderr[-2000:]}"
    outcomes = {line["bomb"]: line["outcome"] for line in lines if "outcome" in line}
    assert set(outcomes) == set(gadgets.BOMBS)
    assert set(outcomes.values()) <= {"InvalidModelError", "UnsupportedError", "read"}
    assert all(line["letters"] < 100_000 for line in lines if "outcome" in line), "nobody can read that"
    assert all(line["audited"] in (0, 3, 4) for line in lines if "outcome" in line)


def test_what_a_pickle_is_read_into() -> None:
    found = Pickle(memoryview(pickle.dumps({"a": [1, 2.5, (None, True)], "b": b"xy"}, 4)), "x").result
    assert isinstance(found, Pairs)
    assert found.items == [("a", [1, 2.5, (None, True)]), ("b", b"xy")]


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_gives_the_same(protocol: int) -> None:
    from mmconvert.parsers.pytorch.rebuilt import rebuild

    value = {"a": [1, -7, 70_000, 1 << 80, 2.5, "é\n", True, None], "t": (1, (2, 3, 4, 5), ()), "s": {1, 2}}
    found = rebuild(Pickle(memoryview(pickle.dumps(value, protocol)), "x"), lambda *_: memoryview(b""))
    assert dict(found) == {**value, "s": [1, 2]}


def test_calls_stay_calls() -> None:
    found = Pickle(memoryview(gadgets.NAMED["shutil.rmtree"]), "x")
    assert isinstance(found.result, Call)
    assert isinstance(found.result.function, Global)
    assert (str(found.result.function), found.result.arguments) == ("shutil.rmtree", ("x",))
