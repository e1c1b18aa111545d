"""What says nothing about numbers is refused by its name, all of it at once."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from mmconvert.errors import UnsupportedError
from mmconvert.parsers.onnx import load, refused
from mmconvert.parsers.onnx.table import RULES

MODEL = """
    <ir_version: 10, opset_import: ["" : 21, "ai.onnx.ml" : 4, "ai.onnx.preview.training" : 1, "our" : 1]>
    m (float[n,3] x, uint8[k] file, string[n] words, bool go) => (float[n,3] y, float[n,3] z) {
        clean = StringNormalizer(words)
        ids = TfIdfVectorizer <max_gram_length = 1, max_skip_count = 0, min_gram_length = 1, mode = "TF",
            ngram_counts = [0], ngram_indexes = [0], pool_strings = ["a"]> (clean)
        pixels = ImageDecoder(file)
        noise = RandomNormalLike(x)
        dropped = Bernoulli(x)
        scaled = ai.onnx.ml.Scaler(x)
        moved = ai.onnx.preview.training.Momentum(x, x, x, x)
        other = our.Thing(x)
        a = Add(noise, scaled)
        b = Add(a, dropped)
        c = Add(b, moved)
        d = Add(c, other)
        e = Concat <axis = 0> (d, ids)
        f = Concat <axis = 0> (e, pixels)
        y = Relu(f)
        z = If (go) <
            then_branch = t () => (float[n,3] p) { q = RandomUniformLike(f) p = Add(q, f) },
            else_branch = s () => (float[n,3] u) { u = our.Other(f) }
        >
    }"""


def test_everything_is_listed_at_once(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx.parser.parse_model(MODEL).SerializeToString())
    with pytest.raises(UnsupportedError) as caught:
        load(path)
    found = {problem.what: problem.hint for problem in caught.value.problems}
    wanted = {
        "operator StringNormalizer": "strings",
        "operator TfIdfVectorizer": "strings",
        "operator ImageDecoder": "image files",
        "operator RandomNormalLike": "random numbers",
        "operator RandomUniformLike": "random numbers",
        "operator Bernoulli": "random numbers",
        "operator ai.onnx.ml.Scaler": "machine learning on tables",
        "operator ai.onnx.preview.training.Momentum": "training",
        "operator our.Thing": "one runtime",
        "operator our.Other": "one runtime",
        "tensors of string elements are not supported": "",
    }
    assert set(found) == set(wanted)
    for what, hint in wanted.items():
        assert hint in found[what]


def test_a_constant_of_strings(tmp_path: Path) -> None:
    node = helper.make_node("Constant", [], ["y"], name="c", value_strings=["a", "b"])
    output = helper.make_tensor_value_info("y", TensorProto.STRING, [2])
    graph = helper.make_graph([node], "g", [], [output])
    path = tmp_path / "m.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(UnsupportedError, match="Constant: of strings at Constant 'c'"):
        load(path)


def test_no_rule_is_written_for_what_is_refused() -> None:
    assert not [kind for kind in refused.OPERATORS if kind in RULES]
    assert not [key for key in RULES if key.rpartition(".")[0] in refused.DOMAINS]
