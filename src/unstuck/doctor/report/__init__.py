"""A report as text, JSON or HTML: pure functions of the report and the evidence it rests on."""

from unstuck.doctor.report.html import as_html
from unstuck.doctor.report.json import as_json
from unstuck.doctor.report.text import as_text

__all__ = ["as_html", "as_json", "as_text"]
