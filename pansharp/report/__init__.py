"""HTML reports: one file a product, nothing loaded from elsewhere.

`product_report` is `pansharp report`; `page` is the shared dress of other pages (benchmark, batch).
"""

from __future__ import annotations

from pansharp.report.pages import Cell, Section, Table, fragment, page
from pansharp.report.product import product_report, report_html

__all__ = ["Cell", "Section", "Table", "fragment", "page", "product_report", "report_html"]
