"""pages: the templates, and everything that goes into one as text that shows what it is.

Every value is escaped, and characters that do not show or that turn others are spelled out. What a client or a model
wrote is never HTML here. Templates are drawn by Jinja2, the `review` extra.
"""

from __future__ import annotations

import datetime
from importlib.resources import files
from typing import Any

from laneway.errors import UsageError
from laneway.people.page import style, visible
from laneway.receipt import at
from laneway.weekly.page import style as weekly

__all__ = ["Pages"]

_FOLDER = "laneway.server.console"


class Pages:
    """Draws pages by the name of their template. Raises UsageError where Jinja2 is not installed."""

    def __init__(self) -> None:
        try:
            import jinja2  # noqa: PLC0415  # an optional extra
            import markupsafe  # noqa: PLC0415
        except ImportError:
            raise UsageError("the console draws its pages with Jinja2: pip install 'laneway[review]'") from None

        def shown(value: Any) -> Any:
            return visible(value) if isinstance(value, str) and not isinstance(value, markupsafe.Markup) else value

        def exact(text: str) -> Any:
            """As it is, for a box that sends it back."""
            return markupsafe.Markup(markupsafe.escape(text))  # noqa: S704  # escaped

        self._html = markupsafe.Markup
        self._made = jinja2.Environment(
            loader=jinja2.PackageLoader(_FOLDER), autoescape=True, undefined=jinja2.StrictUndefined, finalize=shown,
            trim_blocks=True, lstrip_blocks=True, auto_reload=False,
        )  # fmt: skip
        self._made.filters |= {"at": _at, "exact": exact}
        self.style = (style() + weekly() + (files(_FOLDER) / "console.css").read_text("utf-8")).encode()

    def draw(self, template: str, **values: object) -> bytes:
        """The page as UTF-8; what cannot be said in UTF-8 is replaced."""
        return self._made.get_template(template).render(**values).encode("utf-8", "replace")

    def html(self, text: str) -> str:
        """Text that is HTML already, made by `people.page`, which escapes as this does."""
        return self._html(text)


def _at(moment: datetime.datetime | None) -> str:
    return "" if moment is None else at(moment)
