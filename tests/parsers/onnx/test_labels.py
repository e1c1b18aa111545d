"""Labels in the properties of ONNX files."""

from __future__ import annotations

import pytest

from mmconvert.parsers.onnx.labels import labels


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"labels": '["cat", "dog"]'}, ("cat", "dog")),
        ({"names": "{0: 'cat', 1: 'dog'}"}, ("cat", "dog")),
        ({"names": "{1: 'dog', 0: 'cat'}"}, ("cat", "dog")),
        ({"names": "['cat', 'dog']"}, ("cat", "dog")),
        ({"names": "{0: 'cat', 2: 'dog'}"}, ()),
        ({"names": "__import__('os').getcwd()"}, ()),
        ({"names": "(" * 100_000}, ()),
        ({"names": "{0: 1}"}, ()),
        ({"labels": "[1, 2]"}, ()),
        ({"labels": "cat"}, ()),
        ({"labels": "[" * 100_000}, ()),
        ({"labels": '["' + "x" * (1 << 20) + '"]'}, ()),
        ({}, ()),
    ],
)
def test_labels(properties: dict[str, str], expected: tuple[str, ...]) -> None:
    assert labels(properties) == expected
