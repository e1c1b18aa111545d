"""Files of weights, and the user's code that builds their module."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import mmconvert
from mmconvert.errors import InvalidModelError, UnsupportedError, UsageError
from mmconvert.parsers.pytorch.storage import Stored
from mmconvert.parsers.pytorch.weights import kind_of, read_weights
from tests.parsers.pytorch import nets

X = torch.linspace(-1, 1, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8)
CODE = "tests.parsers.pytorch.nets:Small"


def saved(path: Path, content: Any, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


def read(path: Path) -> Any:
    return read_weights(path, kind_of(path, path.read_bytes()[:4096]))


def outputs(path: Path, **options: Any) -> Any:
    model = mmconvert.load(path, **{"module": CODE, "examples": ["batch,3,8,8"], **options})
    return next(iter(model.run({"x": X.numpy()}).values()))


FORMATS: dict[str, Callable[[Path, Any], Path]] = {
    "zip": lambda path, state: saved(path, state),
    "stream": lambda path, state: saved(path, state, _use_new_zipfile_serialization=False),
    "protocol 4": lambda path, state: saved(path, state, pickle_protocol=4),
    "stream of protocol 5": lambda path, state: saved(
        path, state, pickle_protocol=5, _use_new_zipfile_serialization=False
    ),
    "safetensors": lambda path, state: (save_file(state, path), path)[1],
}


@pytest.mark.parametrize("format", FORMATS)
def test_formats(format: str, tmp_path: Path) -> None:
    net = nets.made()
    path = FORMATS[format](tmp_path / "w.bin", net.state_dict())
    np.testing.assert_allclose(outputs(path), net(X).detach().numpy(), rtol=1e-5, atol=1e-6)


ELEMENTS = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    *(torch.uint16, torch.uint32, torch.uint64, torch.complex64, torch.complex128),
    *(torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz),
]


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "stream"])
def test_every_element_type(is_zip: bool, tmp_path: Path) -> None:
    state = {str(t): torch.arange(6).reshape(2, 3).to(t) for t in ELEMENTS}
    found = read(saved(tmp_path / "w.pt", state, _use_new_zipfile_serialization=is_zip))
    for name, tensor in state.items():
        array = found[name].tensor().numpy()
        size = tensor.element_size()
        assert array.dtype.itemsize == size
        assert array.tobytes() == tensor.contiguous().view(torch.uint8).numpy().tobytes(), name


def test_views_share_their_storage(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    content = {"base": base, "t": base.t(), "row": base[1], "step": base[:, ::2], "none": base[:0]}
    for is_zip in (True, False):
        found = read(saved(tmp_path / "w.pt", content, _use_new_zipfile_serialization=is_zip))
        for name, tensor in content.items():
            np.testing.assert_array_equal(found[name].tensor().numpy(), tensor.numpy())
        assert len({found[name].address for name in ("base", "t", "row", "step")}) == 1


def test_weights_are_bytes_of_the_file(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.pth", {"a": torch.ones(1000)})
    model = nn.Linear(1000, 1, bias=False)
    found = read(path)["a"]
    assert isinstance(found, Stored)
    assert type(found.data.obj).__name__ == "mmap"
    torch.save({"weight": torch.ones(1, 1000)}, path)
    graph = mmconvert.load(path, module=lambda: model, examples="2,1000").graph
    (constant,) = [v.constant for v in graph.constants() if v.name == "weight"]
    assert constant is not None
    start = np.frombuffer(model.weight.detach().numpy(), np.uint8).__array_interface__["data"][0]
    assert constant.numpy().__array_interface__["data"][0] == start
    model.weight.data.zero_()  # the module's memory is private: the file stays as it is
    assert read(path)["weight"].tensor().numpy().min() == 1


def test_reading_weights_needs_no_torch(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.pth", {"a": torch.arange(3.0)})
    code = f"""
import sys
sys.modules["torch"] = None
from pathlib import Path
from mmconvert.parsers.pytorch.weights import read_weights
print(read_weights(Path({str(path)!r}), "pickle")["a"].tensor().numpy())
import mmconvert
try:
    mmconvert.load({str(path)!r}, module="m:f", examples="1")
except mmconvert.MMConvertError as error:
    print(error.exit_code, error)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.startswith("[0. 1. 2.]\n5 torch is not installed")
    assert "mmconvert[torch]" in found


def test_what_checkpoints_hold_beside_weights(tmp_path: Path) -> None:
    import argparse

    net = nets.made()
    optimizer = torch.optim.Adam(net.parameters())
    net(X).sum().backward()
    optimizer.step()
    content = {
        "epoch": np.int64(3),
        "loss": np.float32(0.25),
        "history": np.arange(4.0),
        "args": argparse.Namespace(lr=0.1),
        "where": Path("runs/1"),
        "device": torch.device("cpu"),
        "optimizer": optimizer.state_dict(),
        "state_dict": net.state_dict(),
        "ema": {"state_dict": nets.Small().state_dict()},
    }
    path = saved(tmp_path / "c.ckpt", content)
    model = mmconvert.load(path, module=CODE, examples=["2,3,8,8"])
    assert model.warnings == [
        "the weights are those under 'state_dict' of the checkpoint; ema.state_dict beside it was not used"
    ]
    expected = net.eval()(X).detach().numpy()
    np.testing.assert_allclose(outputs(path), expected, rtol=1e-5, atol=1e-6)
    other = outputs(path, state_key="ema.state_dict")
    assert not np.allclose(other, expected)
    history = read(path)["history"]
    np.testing.assert_array_equal(history.tensor().numpy(), np.arange(4.0))
    assert read(path)["epoch"] == 3
    with pytest.raises(UsageError, match="no state dict 'model'"):
        outputs(path, state_key="model")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.backbone."])
def test_prefixes_of_wrappers(prefix: str, tmp_path: Path) -> None:
    net = nets.made()
    state = {prefix + key: value for key, value in net.state_dict().items()}
    state["criterion.weight"] = torch.ones(3)
    path = saved(tmp_path / "p.pth", {"model": state})
    model = mmconvert.load(path, module=CODE, examples=["2,3,8,8"])
    assert model.warnings == [
        "the weights are those under 'model' of the checkpoint",
        f"the keys begin with {prefix!r}, which was left out, and 1 without it were not used",
    ]
    np.testing.assert_allclose(outputs(path), net(X).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_all_keys_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    state = nets.made().state_dict()
    del state["conv.bias"], state["norm.weight"]
    state["head.0.weight"] = state["head.0.bias"] = torch.ones(2)
    path = saved(tmp_path / "w.pth", state)
    with pytest.raises(UsageError) as caught:
        outputs(path, module=CODE + "(classes=7)")
    text = str(caught.value)
    assert "2 missing in the file: conv.bias, norm.weight" in text
    assert "2 not in the module: head.0.weight, head.0.bias" in text
    assert "2 of another shape: fc.weight is [4, 8], and [7, 8] in the module, fc.bias is [4]" in text


def test_tied_weights_may_be_in_the_file_once(tmp_path: Path) -> None:
    torch.manual_seed(1)
    net = nets.Small(tied=True).eval()
    state = net.state_dict()
    del state["copy.weight"]
    save_file(state, tmp_path / "w.safetensors")
    found = outputs(tmp_path / "w.safetensors", module=CODE + "(4, tied=True)")
    np.testing.assert_allclose(found, net(X).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_other_element_types_are_converted_and_said(tmp_path: Path) -> None:
    state = {k: v.half() if v.is_floating_point() else v for k, v in nets.made().state_dict().items()}
    path = saved(tmp_path / "w.pth", state)
    model = mmconvert.load(path, module=CODE, examples=["2,3,8,8"])
    assert model.warnings == ["weights stored as f16 were converted to the module's own type"]
    expected = nets.made()
    expected.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    np.testing.assert_allclose(outputs(path), expected(X).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_statistics_without_a_counter_are_those_of_an_earlier_torch(tmp_path: Path) -> None:
    state = {k: v for k, v in nets.made().state_dict().items() if "num_batches" not in k}
    assert outputs(saved(tmp_path / "w.pth", dict(state))).shape == (2, 4)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("tests.parsers.pytorch.nets:Smal", "no Smal in .*did you mean Small"),
        ("tests.parsers.pytorch.nothing:Small", "cannot be imported: ModuleNotFoundError"),
        ("tests.parsers.pytorch.nets:failing", "RuntimeError: no such checkpoint"),
        ("tests.parsers.pytorch.nets:number", "makes a int, and no torch.nn.Module"),
        ("tests.parsers.pytorch.nets:Small(classes=print('x'))", "no call with plain arguments"),
        ("Small", "names no code"),
    ],
)
def test_code_that_builds_no_module(module: str, message: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "w.pth", nets.made().state_dict())
    with pytest.raises(UsageError, match=f"(?s){message}"):
        outputs(path, module=module)


def test_weights_alone_are_no_model(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.pth", nets.made().state_dict())
    with pytest.raises(UsageError, match=r"(?s)9 weights without a network.*--module .* --input"):
        mmconvert.load(path)
    with pytest.raises(UsageError, match="give an example"):
        mmconvert.load(path, module=CODE)
    with pytest.raises(UsageError, match="no tensors"):
        outputs(saved(tmp_path / "n.pth", {"epoch": 3}))


@pytest.mark.parametrize(
    ("tensor", "kind"),
    [
        (torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), "qtensor"),
        (torch.ones(3).to_sparse(), "sparse tensor"),
        (torch.empty(3, device="meta"), "meta tensor"),
    ],
)
def test_tensors_of_other_kinds_are_refused_by_name(tensor: Any, kind: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "w.pth", {"w": tensor})
    with pytest.raises(UnsupportedError, match=f"w: a {kind}"):
        outputs(path)


def test_a_whole_module_is_read_only_on_trust(tmp_path: Path) -> None:
    net = nets.made()
    path = saved(tmp_path / "net.pt", {"epoch": 1, "model": net})
    with pytest.raises(UnsupportedError) as caught:
        outputs(path)
    names = {problem.what for problem in caught.value.problems}
    assert {"tests.parsers.pytorch.nets.Small", "torch.nn.modules.conv.Conv2d"} <= names
    assert "--trust-pickle runs whatever" in str(caught.value)
    assert "torch.export.save" in str(caught.value)
    model = mmconvert.load(path, examples=["2,3,8,8"], trust_pickle=True)
    assert model.warnings[0].startswith("the file was unpickled, as --trust-pickle allows: whatever code")
    found = next(iter(model.run({"x": X.numpy()}).values()))
    np.testing.assert_allclose(found, net(X).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_weights_amid_other_objects_on_trust(tmp_path: Path) -> None:
    net = nets.made()
    state = {f"module.{k}": v for k, v in net.state_dict().items()}
    path = saved(tmp_path / "c.pt", {"state_dict": state, "sizes": slice(3), "made by": nets.made})
    with pytest.raises(UnsupportedError, match=r"nets\.made"):
        outputs(path)
    found = outputs(path, trust_pickle=True)
    np.testing.assert_allclose(found, net(X).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_archives_of_other_kinds_are_refused_by_name(tmp_path: Path) -> None:
    import io
    import tarfile

    path = tmp_path / "old.pth"
    with tarfile.open(path, "w") as archive:
        for name in ("sys_info", "pickle"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(UnsupportedError, match=r"tar archive of torch 0\.1"):
        outputs(path)
    from torch.package import PackageExporter

    with PackageExporter(tmp_path / "p.pt") as package:
        package.save_text("a", "b.txt", "c")
    with pytest.raises(UnsupportedError, match=r"torch\.package"):
        outputs(tmp_path / "p.pt")


def test_most_significant_byte_first(tmp_path: Path) -> None:
    import zipfile

    path = saved(tmp_path / "w.pth", {"a": torch.ones(3)})
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "big.pth", "w") as new:
        for name in old.namelist():
            new.writestr(name, b"big" if name.endswith("byteorder") else old.read(name))
    with pytest.raises(UnsupportedError, match="most significant byte"):
        outputs(tmp_path / "big.pth")


def test_a_tensor_outside_of_its_storage(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.pth", {"a": torch.ones(300)}, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    broken = content.replace(b"M\x2c\x01\x85", b"M\x2d\x01\x85")  # the shape (301,)
    assert broken != content
    path.write_bytes(broken)
    with pytest.raises(InvalidModelError, match="300 elements"):
        outputs(path)
