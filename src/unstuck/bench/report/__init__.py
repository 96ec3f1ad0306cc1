"""The results as text, JSON or HTML: pure functions."""

from unstuck.bench.report.html import as_html
from unstuck.bench.report.json import as_json
from unstuck.bench.report.text import as_text

__all__ = ["as_html", "as_json", "as_text"]
