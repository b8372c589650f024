"""The home and its settings file: loading, validation, reloading."""
