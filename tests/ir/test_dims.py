import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmconvert.errors import InvalidModelError
from mmconvert.ir import dims
from mmconvert.ir.dims import Dim, Extent

N, H, W = Dim.symbol("n"), Dim.symbol("h"), Dim.symbol("w")
VALUES = {"n": 3, "h": 17, "w": 10}


def _extents() -> st.SearchStrategy[tuple[Extent, int]]:
    """Expressions together with their value under VALUES, computed by Python's own integers."""
    leaves = st.one_of(
        st.sampled_from([(N, 3), (H, 17), (W, 10)]), st.integers(-20, 20).map(lambda i: (i, i))
    )

    def grow(children):
        pairs = st.tuples(children, children)
        return st.one_of(
            pairs.map(lambda p: (p[0][0] + p[1][0], p[0][1] + p[1][1])),
            pairs.map(lambda p: (p[0][0] - p[1][0], p[0][1] - p[1][1])),
            pairs.map(lambda p: (p[0][0] * p[1][0], p[0][1] * p[1][1])),
            st.tuples(children, st.integers(1, 7)).map(
                lambda p: (dims.floordiv(p[0][0], p[1]), p[0][1] // p[1])
            ),
            st.tuples(children, st.integers(1, 7)).map(
                lambda p: (dims.ceildiv(p[0][0], p[1]), -(-p[0][1] // p[1]))
            ),
        )

    return st.recursive(leaves, grow, max_leaves=8)


@given(_extents())
def test_arithmetic_agrees_with_integers(pair):
    extent, value = pair
    assert dims.substitute(extent, VALUES) == value


@given(_extents())
def test_text_is_read_back_as_the_same_extent(pair):
    assert dims.parse(str(pair[0])) == pair[0]


@given(_extents(), _extents())
def test_equal_expressions_have_one_form(a, b):
    assert a[0] + b[0] - b[0] == a[0]
    assert a[0] * b[0] == b[0] * a[0]
    assert hash(a[0] + b[0]) == hash(b[0] + a[0])


def test_window_arithmetic_stays_readable():
    assert str((H + 2 - 3) // 2 + 1) == "(h+1)//2"
    assert 2 * H - H - H == 0
    assert (N * H * 3) // H == 3 * N
    assert (4 * H + 6) // 2 == 2 * H + 3
    assert str((4 * N * H * W) // (8 * N * W)) == "h//2"
    assert str((6 * H + 4) // 8) == "(3*h+2)//4"


@pytest.mark.parametrize(
    ("extent", "line"),
    [(H, ("h", 1, 0)), (32 * H, ("h", 32, 0)), (2 * H - 3, ("h", 2, -3)), (H * H, None), (H + W, None)],
)
def test_a_line_tells_its_name(extent, line):
    assert extent.line == line


def test_maximum_is_resolved_where_it_can_be():
    assert dims.maximum(H + 1, H) == H + 1
    assert dims.maximum(3, 5) == 5
    assert dims.maximum(H, W) == dims.maximum(W, H)
    assert dims.substitute(dims.maximum(H, W), VALUES) == 17


@pytest.mark.parametrize("text", ["", "1+", "(h", "h)", "h h", "max(h)", "1.5", "h//", "é"])
def test_broken_text_is_refused(text):
    with pytest.raises(InvalidModelError, match="is not an extent"):
        dims.parse(text)
