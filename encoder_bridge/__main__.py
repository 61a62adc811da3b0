"""``encoder-bridge`` and ``python -m encoder_bridge``."""

from __future__ import annotations

from encoder_bridge.cli import PROGRAM, cli


def main() -> None:
    """Run the command line and exit with its code."""
    cli(prog_name=PROGRAM)


if __name__ == "__main__":
    main()
