"""The line client: a terminal front end over `chatctl.model` and `chatctl.client`."""
