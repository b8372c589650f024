"""Structured logs: records, the pipe from each child, the supervisor's files."""

from chatd.logs.log_pipe import set_level, setup_child_logging
from chatd.logs.logger import Log, get_log

__all__ = ["Log", "get_log", "set_level", "setup_child_logging"]
