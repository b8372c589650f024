"""python -m chatd: the command ``chatd``."""

from chatd.cli import main

if __name__ == "__main__":
    main()
