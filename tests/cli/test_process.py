"""The command as a process of its own: terminals, signals, pipes, bugs."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests import digits

MAIN = "import sys; from mmconvert.cli import main; main()"


def script(patch: str) -> list[str]:
    """The command line, with something patched beforehand."""
    return [sys.executable, "-c", f"{textwrap.dedent(patch)}\n{MAIN}"]


def run(command: list[str], *arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,  # type: ignore[call-overload]
    )


def started(command: list[str], *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*command, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(condition: object, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def test_python_minus_m(tmp_path: Path) -> None:
    done = run([sys.executable, "-m", "mmconvert"], digits.KERAS, tmp_path / "m.onnx", "--no-verify")
    assert done.returncode == 0
    assert not done.stderr


# --- bugs --------------------------------------------------------------------------------------------------

BUG = """
    from mmconvert.ir import copy
    import mmconvert.conversion as conversion
    def broken(module):
        raise ZeroDivisionError("a bug of ours")
    conversion.copy_module = broken
"""


def test_a_bug_is_shown_with_its_traceback(tmp_path: Path) -> None:
    done = run(script(BUG), digits.KERAS, tmp_path / "m.onnx")
    assert done.returncode == 70
    assert "Traceback (most recent call last):" in done.stderr
    assert "ZeroDivisionError: a bug of ours" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: this is a bug in mmconvert")
    assert "please report it" in done.stderr
    assert not done.stdout
    assert not list(tmp_path.iterdir())


def test_a_bug_with_json(tmp_path: Path) -> None:
    done = run(script(BUG), digits.KERAS, tmp_path / "m.onnx", "--json")
    assert done.returncode == 70
    document = json.loads(done.stdout)
    assert (document["error"], document["exit_code"]) == ("ZeroDivisionError", 70)
    assert "Traceback" in done.stderr


def test_a_broken_invariant_is_a_bug(tmp_path: Path) -> None:
    patch = BUG.replace("ZeroDivisionError", "__import__('mmconvert.errors').errors.InternalError")
    done = run(script(patch), digits.KERAS, tmp_path / "m.onnx")
    assert done.returncode == 70
    assert "Traceback" in done.stderr
    assert "please report it" in done.stderr


# --- progress ----------------------------------------------------------------------------------------------

SLOW = """
    import time
    import mmconvert.verification.judge as judge
    right = judge.interpreted
    def slow(graph, precision="float32"):
        time.sleep({seconds})
        return right(graph, precision)
    judge.interpreted = slow
"""


def on_a_terminal(command: list[str], *arguments: str | Path) -> tuple[str, str]:
    """What comes out on stdout, which is a pipe, and on stderr, which is a terminal."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*command, *map(str, arguments)], stdout=subprocess.PIPE, stderr=slave, text=True
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            block = os.read(master, 65536)
        except OSError:  # the other end is closed
            break
        if not block:
            break
        shown += block
    os.close(master)
    assert process.stdout is not None
    out = process.stdout.read()
    assert process.wait(30) == 0
    return out, shown.decode()


def test_a_bar_appears_when_it_takes_long(tmp_path: Path) -> None:
    out, err = on_a_terminal(script(SLOW.format(seconds=0.8)), digits.KERAS, tmp_path / "m.onnx")
    assert "━" in err
    assert "reading" in err
    assert "━" not in out
    assert "equivalent (executed)" in out


def test_no_bar_when_it_does_not(tmp_path: Path) -> None:
    out, err = on_a_terminal([sys.executable, "-m", "mmconvert"], digits.KERAS, tmp_path / "m.onnx")
    assert err == ""
    assert "equivalent (executed)" in out


def test_no_bar_in_a_file(tmp_path: Path) -> None:
    done = run(script(SLOW.format(seconds=0.8)), digits.KERAS, tmp_path / "m.onnx")
    assert done.stderr == ""


# --- output ------------------------------------------------------------------------------------------------


def test_whoever_reads_may_stop_reading(tmp_path: Path) -> None:
    process = started([sys.executable, "-m", "mmconvert"], "inspect", digits.KERAS, "--text")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(30) in (141, -signal.SIGPIPE)
    assert process.stderr.read() == ""


def test_names_in_any_script_on_any_terminal(tmp_path: Path) -> None:
    from mmconvert.ir import store
    from mmconvert.ir.model import Module
    from mmconvert.ir.text import parse_graph

    text = 'graph "g"("画像": f32[2]) -> ("確率": f32[2])\n  %1 = Neg("画像")\n  return %1\n'
    store.save(Module(parse_graph(text)), tmp_path / "m.mmir")
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    command = [sys.executable, "-m", "mmconvert"]
    done = run(command, tmp_path / "m.mmir", tmp_path / "m.onnx", env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u78ba" in done.stdout
    done = run(command, tmp_path / "画像.onnx", tmp_path / "n.onnx", "--json", env=environment)
    assert json.loads(done.stdout)["where"].endswith("画像.onnx")


# --- signals -----------------------------------------------------------------------------------------------

STUCK = """
    import time
    import mmconvert.emitters.onnx.wire as wire
    def stuck(array):
        time.sleep(60)
    wire._bytes = stuck
"""


def parts(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if p.name.endswith(".part")]


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("before", [b"", b"the file that was there"])
def test_interrupted_while_writing(sent: signal.Signals, code: int, before: bytes, tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    if before:
        target.write_bytes(before)
    process = started(script(STUCK), digits.KERAS, target)
    wait_for(lambda: parts(tmp_path))
    process.send_signal(sent)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in err
    assert not out
    assert not parts(tmp_path)
    assert (target.read_bytes() if target.exists() else b"") == before


@pytest.mark.parametrize("before", [b"", b"the file that was there"])
def test_killed_while_writing(before: bytes, tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    if before:
        target.write_bytes(before)
    process = started(script(STUCK), digits.KERAS, target)
    wait_for(lambda: parts(tmp_path))
    process.kill()
    process.communicate(timeout=30)
    assert (target.read_bytes() if target.exists() else b"") == before
    done = run([sys.executable, "-m", "mmconvert"], digits.KERAS, target)
    assert done.returncode == 0, "what a killed process has left is in nobody's way"


def test_interrupted_with_json(tmp_path: Path) -> None:
    process = started(script(STUCK), digits.KERAS, tmp_path / "m.onnx", "--json")
    wait_for(lambda: parts(tmp_path))
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert json.loads(out)["exit_code"] == process.returncode == 130
