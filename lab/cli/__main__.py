"""`python -m lab.cli`: the command without its launcher."""

from lab.cli import main

if __name__ == "__main__":
    main()
