"""Figures: each file makes one kind of them, as what Bokeh calls a JSON item."""

from __future__ import annotations

from mmconvert.errors import MissingDependencyError


def require() -> None:
    """Makes sure that the libraries of the page are there.

    Raises:
        MissingDependencyError: they are not.
    """
    try:
        import bokeh
        import jinja2
    except ImportError as error:
        hint = "pip install 'mmconvert[report]'"
        raise MissingDependencyError("the page is drawn by Bokeh", hint=hint) from error
    del bokeh, jinja2
