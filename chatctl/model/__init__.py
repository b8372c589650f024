"""What a person sees and can do in a client, without any I/O; all front ends use it."""
