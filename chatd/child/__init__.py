"""The child's side of supervision, used by the hub and the workers."""

from chatd.child.supervised import EXIT_CONFIG, EXIT_INTEGRITY, EXIT_OK, EXIT_STORAGE, Supervised

__all__ = ["EXIT_CONFIG", "EXIT_INTEGRITY", "EXIT_OK", "EXIT_STORAGE", "Supervised"]
