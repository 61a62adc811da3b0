"""The control channel: HTTP on a Unix socket, for the command line and whatever else runs on this machine.

Importing it imports aiohttp: only a daemon that starts should.
"""

from __future__ import annotations

from encoder_bridge.control.server import Control

__all__ = ["Control"]
