"""What every program prints, and how it exits. The daemon's commands and the clients share it."""
