"""The state and commands of a client for people, without any I/O; all front ends use it."""
