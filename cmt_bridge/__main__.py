"""`python -m cmt_bridge`: the command line, for where a module is started and not a program."""

from cmt_bridge.cli import main

if __name__ == "__main__":
    main()
