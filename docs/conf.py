"""How Sphinx builds these pages; `scripts/docs` runs it."""

import logging
import tomllib
from pathlib import Path

_PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]

project = "Polarbert"
author = "The Polarbert authors"
copyright = author  # noqa: A001 - Sphinx's name for it
version = release = _PROJECT["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4  # so that a link to a heading is checked too

autodoc_typehints = "description"
autodoc_member_order = "bysource"

# Names of other projects cannot be looked up without a network; our own must resolve.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!polarbert).*"),
    (r"py:class", r"polarbert\..*\._\w+"),
    (r"py:class", r".*\.PartOfTask"),
]

html_theme = "furo"
html_title = f"Polarbert {release}"
html_copy_source = False

# A section that has no pages yet is no error. Sphinx gives this warning no type, so it has no setting for it.
logging.getLogger("sphinx.sphinx.directives.other").addFilter(
    lambda record: "glob pattern" not in str(record.msg),
)
