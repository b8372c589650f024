"""Output, exit codes, formats and shell completion, shared by chatd, chatctl and chat."""
