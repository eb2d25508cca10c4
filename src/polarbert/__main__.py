"""`python -m polarbert`: the command line, for programs that start modules, as `torchrun` does."""

from polarbert.cli import main

if __name__ == "__main__":
    main()
