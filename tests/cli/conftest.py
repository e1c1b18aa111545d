"""Commands run in this process, as `mmconvert` would run them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mmconvert.cli import invoke


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What was printed on stdout, which has to be one JSON document and nothing else."""
        return json.loads(self.out)


Command = Callable[..., Done]


@pytest.fixture
def mmconvert(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command line."""

    def run(*arguments: str | Path) -> Done:
        capsys.readouterr()
        code = invoke([str(a) for a in arguments])
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return run
