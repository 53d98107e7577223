"""HTML reports: one file a product, nothing loaded from elsewhere.

`product_report` is `pansharp report`; `page` is the shared dress of other pages (benchmark, batch).
"""

from __future__ import annotations

from pansharp.report.page import Cell, Section, Table, page
from pansharp.report.product import product_report, report_html

__all__ = ["Cell", "Section", "Table", "page", "product_report", "report_html"]
