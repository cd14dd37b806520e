"""A study for people: one HTML page with its tables and plots, and a table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lope_common.faces import lazy

if TYPE_CHECKING:
    from pipelines.page.markdown import write_markdown
    from pipelines.page.page import write_page
    from pipelines.page.terminal import summary_table

__all__ = ["summary_table", "write_markdown", "write_page"]

__getattr__ = lazy(
    __name__,
    {
        "summary_table": "terminal",
        "write_markdown": "markdown",
        "write_page": "page",
    },
)
