"""Audits as a page, and as a picture: which property is broken in which module."""

from tokennet.audit.pages.matrix import draw_matrix
from tokennet.audit.pages.page import write_page

__all__ = ["draw_matrix", "write_page"]
