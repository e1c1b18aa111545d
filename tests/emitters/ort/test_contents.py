from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmconvert.emitters import flat
from mmconvert.emitters import ort as emitter
from mmconvert.emitters.ort import contents, schema
from mmconvert.errors import UnsupportedError
from tests.emitters.ort.nets import branches, convolutions

WRITE = """
import sys
from pathlib import Path
from mmconvert.emitters import ort
from tests.emitters.ort.nets import branches, convolutions
for i, options in enumerate(({}, {"cpu": "any"}, {"style": "runtime"})):
    ort.write(convolutions(), Path(sys.argv[1]) / f"{i}.ort", **options)
ort.write(branches(), Path(sys.argv[1]) / "3.ort")
"""


def plain(value: Any) -> Any:
    """A table as nested dictionaries."""
    if isinstance(value, flat.Table):
        return {"": value.type.name} | {key: plain(v) for key, v in value.values.items()}
    if isinstance(value, flat.Blob):
        return value.load().tobytes()
    return [plain(v) for v in value] if isinstance(value, list) else value


def test_operators_of_inner_graphs_are_listed_and_not_counted(tmp_path: Path) -> None:
    assert emitter.write(branches(), tmp_path / "m.ort") == 1
    found = contents.operators(contents.main_graph(contents.read(tmp_path / "m.ort")))
    assert sorted(found) == [("ai.onnx", 13, "Exp"), ("ai.onnx", 13, "Neg"), ("ai.onnx", 16, "If")]


@pytest.mark.parametrize("make", [branches, convolutions])
@pytest.mark.parametrize("style", ["fixed", "runtime"])
def test_what_is_written_is_what_was_read(make: Any, style: emitter.Style, tmp_path: Path) -> None:
    path = tmp_path / "m.ort"
    emitter.write(make(), path, style=style)
    root = contents.read(path)
    laid_out = flat.lay_out(root, schema.IDENTIFIER)
    with (tmp_path / "again.ort").open("wb") as file:
        flat.write(file, laid_out)
    assert plain(contents.read(tmp_path / "again.ort")) == plain(root)
    assert (tmp_path / "again.ort").read_bytes() == path.read_bytes()


def test_every_process_writes_the_same_bytes(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "second", "third")]
    for folder in folders:
        folder.mkdir()
        subprocess.run([sys.executable, "-c", WRITE, folder], check=True, timeout=120)
    first, *others = ([p.read_bytes() for p in sorted(folder.iterdir())] for folder in folders)
    assert len(first) == 8
    assert others == [first, first]


def test_fields_of_a_later_version_are_not_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = flat.TableType("Node", "name:string doc_string:string domain:string since_version:i32 index:u32")
    emitter.write(branches(), tmp_path / "m.ort")
    monkeypatch.setitem(schema.TYPES, "Node", older)
    with pytest.raises(UnsupportedError, match="newer than mmconvert: Node has a field 5"):
        contents.read(tmp_path / "m.ort")


def test_the_schema_is_that_of_onnx_runtime(tmp_path: Path) -> None:
    """ONNX Runtime's own reader finds the weights of a file."""
    import onnxruntime.tools.ort_format_model  # noqa: F401
    import ort_flatbuffers_py.fbs as fbs

    emitter.write(convolutions(), tmp_path / "m.ort", cpu="any")
    data = bytearray((tmp_path / "m.ort").read_bytes())
    theirs = fbs.InferenceSession.InferenceSession.GetRootAs(data, 0).Model().Graph()
    ours = contents.main_graph(contents.read(tmp_path / "m.ort")).values["initializers"]
    assert theirs.InitializersLength() == len(ours) >= 2
    for index, tensor in enumerate(ours):
        their = theirs.Initializers(index)
        assert their.Name() == tensor.values["name"]
        assert their.DimsAsNumpy().tolist() == tensor.values["dims"]
        np.testing.assert_array_equal(their.RawDataAsNumpy(), tensor.values["raw_data"].load())
