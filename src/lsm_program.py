"""The start of the program `lsm`: outside of the package, so that a Ctrl-C while that is imported is no traceback."""
import sys


def main() -> int:
    """Entry point; answers its status."""
    try:
        from lsm.cli import main as program
    except KeyboardInterrupt:
        print("lsm: interrupted", file=sys.stderr)
        return 130
    return program()


if __name__ == "__main__":
    sys.exit(main())
