"""Messages between the hubs of a cluster: decisions are forwarded to the leader, sessions told to all."""
