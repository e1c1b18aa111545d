"""What a conversion found, for people to look at (a page) and for continuous integration (JUnit).

``cases.py`` is the data, ``charts/`` makes figures of it with Bokeh, ``page.py`` puts them into one HTML file
that needs no network, ``junit.py`` writes JUnit's XML. The libraries are the extra ``report``.
"""

from mmconvert.report.cases import Case, environment

__all__ = ["Case", "environment"]
