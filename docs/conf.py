"""How Sphinx builds the site: ``make docs``. Nothing here needs a network."""

from __future__ import annotations

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from from_code import PAGES  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402

from hpcfed import __version__  # noqa: E402

project = "hpcfed"
version = release = __version__
project_copyright = "hpcfed's authors, GPL-3.0-or-later"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"hpcfed {version}"
html_show_sphinx = False
smartquotes = False  # two hyphens begin an option

nitpicky = True
# what users import has a page; other types of signatures have none
nitpick_ignore_regex = [("py:.*", r"(?!hpcfed\.\w+$).*")]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_use_ivar = True
napoleon_attr_annotations = False  # docstrings say shapes and types


_ARRAY = re.compile(
    r"[\w.~]*ndarray\[tuple\[[\w.~]*Any, \.\.\.\], [\w.~]*dtype\[~?(?:\w+\.)*(\w+)\]\]"
)


def setup(app: Sphinx) -> None:
    """Put what is made from the code in the place of each page's mark; shorten types of arrays."""
    app.connect("source-read", _fill)
    app.connect("autodoc-process-signature", _shorten)


def _fill(app: Sphinx, page: str, source: list[str]) -> None:
    for mark, make in PAGES.items():
        line = f"<!-- made from the code: {mark} -->"
        if line in source[0]:
            source[0] = source[0].replace(line, make())


def _shorten(
    app: Sphinx, what: str, name: str, value: object, options: object, arguments: str, result: str
) -> tuple[str | None, str | None]:
    """Write NumPy's NDArray as it is written in the code."""

    def short(text: str | None) -> str | None:
        return text and _ARRAY.sub(r"NDArray[\1]", text)

    return short(arguments), short(result)
