"""The processes that own client connections."""
