"""Reports: from results to text, files, pages and explanations. Nothing is computed here but layout.

The package is also the function `perfsim.report(result, ...)`, which `page.report` describes: importing anything from
it puts the package under that name into `perfsim`, so the package itself is what is called.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfsim.report.page import Page
    from perfsim.result import Result


class _Report(ModuleType):
    """A package that can be called."""

    def __call__(self, *results: Result) -> Page:
        """The page of these runs, as `page.report` describes."""
        from perfsim.report.page import report as page_report

        return page_report(*results)


report = import_module(__name__)
report.__class__ = _Report
