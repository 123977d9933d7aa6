"""`python -m latentfields` is the `latentfields` command."""

from latentfields.cli.main import main

if __name__ == "__main__":
    main()
