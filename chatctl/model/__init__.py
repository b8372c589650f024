"""What a person sees and can do, without any I/O. Every front end uses it."""
