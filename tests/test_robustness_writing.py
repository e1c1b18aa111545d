"""Under a target's name is a whole file or what was there before; and the same bytes every time."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest

import mmconvert
from mmconvert import files
from mmconvert.errors import UsageError
from mmconvert.files import atomic_write
from tests import digits

TARGETS = ("onnx", "ort", "tflite", "mmir")
SOURCES = ("keras", "h5", "onnx", "mmir")


def content(path: Path) -> dict[str, bytes]:
    """The bytes of a file, or of every file in a folder."""
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {str(p.relative_to(path)): p.read_bytes() for p in found if p.is_file()}


# --- atomic_write ------------------------------------------------------------------------------------------


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "m.bin"
    with atomic_write(target) as file:
        file.write(b"first")
        assert not target.exists()
    assert target.read_bytes() == b"first"
    with atomic_write(target) as file:
        file.write(b"second")
        assert target.read_bytes() == b"first"
    assert target.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("before", [None, b"before"])
def test_an_error_leaves_what_was_there(
    error: type[BaseException], before: bytes | None, tmp_path: Path
) -> None:
    target = tmp_path / "m.bin"
    if before is not None:
        target.write_bytes(before)

    def fail() -> None:
        with atomic_write(target) as file:
            file.write(b"half of")
            raise error

    with pytest.raises(error):
        fail()
    assert (target.read_bytes() if target.exists() else None) == before
    assert len(list(tmp_path.iterdir())) == (before is not None)


def test_two_at_the_same_time(tmp_path: Path) -> None:
    target = tmp_path / "m.bin"
    with atomic_write(target) as first:
        first.write(b"first")
        with atomic_write(target) as second:
            second.write(b"second")
        assert target.read_bytes() == b"second"
    assert target.read_bytes() == b"first"


def test_the_bytes_are_on_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    real_sync, real_replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("fsync"), real_sync(fd))[1])
    monkeypatch.setattr(Path, "replace", lambda self, to: (order.append("rename"), real_replace(self, to))[1])
    with atomic_write(tmp_path / "m.bin") as file:
        file.write(b"x")
    assert order == ["fsync", "rename"]


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    (tmp_path / "folder").mkdir()
    for path, match in (
        (tmp_path / "none" / "m.bin", "there is no such folder"),
        (tmp_path / "file" / "m.bin", "is no folder"),
        (tmp_path / "folder", "this is a folder"),
        (Path("/dev/null"), "this is no file"),
        (tmp_path / ("x" * 300), "File name too long"),
        (tmp_path / "zero\0byte", "null"),
    ):
        with pytest.raises(UsageError, match=match), atomic_write(path):
            pytest.fail("never reached")
    assert Path("/dev/null").is_char_device()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_errors_of_reading_are_not_told_without_their_reason(tmp_path: Path) -> None:
    """Libraries raise OSError with a text and no number."""
    with (
        pytest.raises(UsageError, match="could not be written: filter returned failure"),
        atomic_write(tmp_path / "m.bin"),
    ):
        raise OSError("filter returned failure")


# --- whole conversions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_done_where_nothing_can_be_written(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such an error comes at once, not after minutes of work."""
    monkeypatch.setattr("mmconvert.api.load", lambda *_, **__: pytest.fail("the model was read"))
    (tmp_path / "file").write_text("a file")
    for path in (tmp_path / "none" / f"m.{target}", tmp_path / "file" / f"m.{target}"):
        with pytest.raises(UsageError, match="cannot write here"):
            mmconvert.convert(digits.KERAS, path)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


class Full:
    """A disk with room for some bytes."""

    def __init__(self, file: BinaryIO, room: int) -> None:
        self._file, self._room = file, room

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: Any) -> int:
        self._room -= memoryview(data).nbytes
        if self._room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._file.write(data)


@pytest.mark.parametrize("room", [0, 100, 10_000, 30_000])
@pytest.mark.parametrize("target", ["onnx", "tflite"])
def test_a_full_disk(target: str, room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = files.atomic_write

    @contextmanager
    def full(path: Path) -> Iterator[BinaryIO]:
        with real(path) as file:
            yield Full(file, room)  # type: ignore[misc]

    for module in ("mmconvert.emitters.onnx.wire", "mmconvert.emitters.tflite"):
        __import__(module)
        monkeypatch.setattr(f"{module}.atomic_write", full)
    path = tmp_path / f"m.{target}"
    path.write_bytes(b"before")
    with pytest.raises(UsageError, match="could not be written: No space left on device"):
        mmconvert.convert(digits.KERAS, path)
    assert content(path) == {".": b"before"}
    assert list(tmp_path.iterdir()) == [path]


LIMITED = """
    import resource, signal, sys
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    from mmconvert.cli import main
    main()
"""


@pytest.mark.parametrize("target", TARGETS)
def test_a_limit_on_the_size_of_files(target: str, tmp_path: Path) -> None:
    path = tmp_path / f"m.{target}"
    command = [sys.executable, "-c", textwrap.dedent(LIMITED), digits.KERAS, path, "--json"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "could not be written: File too large" in done.stderr
    assert '"error": "UsageError"' in done.stdout
    assert not list(tmp_path.iterdir())


# --- determinism -------------------------------------------------------------------------------------------

CONVERT_ALL = """
    import sys
    from pathlib import Path
    import mmconvert
    from mmconvert.verification.inputs import generate
    samples, out = map(Path, sys.argv[1:])
    for feed in generate(mmconvert.load(samples / "digits.keras").graph):
        for name, array in feed.items():
            print(name, array.tobytes().hex())
    for source in {sources}:
        for target in {targets}:
            mmconvert.convert(samples / f"digits.{{source}}", out / f"{{source}}.{{target}}", verify=False)
"""


def test_the_same_bytes_in_every_process(samples: Path, tmp_path: Path) -> None:
    script = textwrap.dedent(CONVERT_ALL).format(sources=SOURCES, targets=TARGETS)
    folders, inputs = [], set()
    for seed in ("0", "1", "4242"):
        folder = tmp_path / seed
        folder.mkdir()
        environment = os.environ | {"PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", script, str(samples), str(folder)]
        done = subprocess.run(command, check=True, env=environment, capture_output=True)
        inputs.add(done.stdout)
        folders.append(content(folder))
    assert len(folders[0]) == len(SOURCES) * (
        2 + 2 + 3
    )  # beside model.ort is a list, and model.mmir has three files
    assert folders[0] == folders[1] == folders[2]
    assert len(inputs) == 1, "inputs to verify on"


@pytest.mark.parametrize("target", TARGETS)
def test_the_same_bytes_again_in_one_process(target: str, tmp_path: Path) -> None:
    model = mmconvert.load(digits.KERAS)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        model.save(tmp_path / name / f"m.{target}")
    assert content(tmp_path / "first") == content(tmp_path / "second")


def test_the_same_verdict_again(tmp_path: Path) -> None:
    first, second = (mmconvert.convert(digits.KERAS, tmp_path / "m.onnx").to_json() for _ in range(2))
    for document in (first, second):
        del document["seconds"]
    assert first == second
