"""The commands of chatctl, one module per noun."""
