"""The breach map: one page that works offline, with every picture, style and script inside it."""

from analysis.report.page import write_report

__all__ = ["write_report"]
