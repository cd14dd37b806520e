"""`python -m lope_data`."""

from lope_data.cli import main

if __name__ == "__main__":
    main()
