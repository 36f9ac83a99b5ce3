"""Report: a discovery as one HTML page that opens offline, without scripts; see :func:`report_html`."""

from ravl_explore.report.page import report_html

__all__ = ["report_html"]
