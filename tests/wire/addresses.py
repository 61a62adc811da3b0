"""Where a client that is tried on its own connects to."""

from __future__ import annotations

from encoder_bridge.broker import Broker as Address


def address(client_id: str = "alone", host: str = "127.0.0.1", port: int = 1) -> Address:
    """Nobody listens at port 1."""
    return Address(
        host=host,
        port=port,
        protocol="5",
        client_id=client_id,
        password=lambda: None,
        keepalive_s=10,
        session_expiry_s=60,
        receive_maximum=8,
        will_delay_s=0,
    )
