"""`python -m lope_data`."""

from lope_data.cli.run import main

if __name__ == "__main__":
    main()
