"""Structured logs: records, the children's pipe, the supervisor's files."""

from chatd.logs.pipe import set_level, setup_child_logging
from chatd.logs.records import Log, get_log

__all__ = ["Log", "get_log", "set_level", "setup_child_logging"]
