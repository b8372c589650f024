"""The validated settings file, its loading and its reloading."""
