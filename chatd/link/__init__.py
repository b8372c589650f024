"""The frames between the hub and its links: workers, and the operator's command on the box."""
