"""The child's side of supervision, used by the hub and the workers."""
