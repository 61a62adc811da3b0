"""The keys a configuration names, made into what uses them."""

from __future__ import annotations

from encoder_bridge.config import Settings
from encoder_bridge.log import get_logger
from encoder_bridge.sealing import Seal, make_key, parse_key
from encoder_bridge.signatures import Requester, Signatures


def seal_of(settings: Settings, *, is_needed: bool) -> Seal:
    """What guests' data is encrypted with: the configured key, or one that is made beside the store.

    Args:
        settings: the configuration.
        is_needed: there is something in the store that was encrypted before.

    Raises:
        ConfigError: the key is of no use.
    """
    path = settings.privacy.key_file
    if path is None:
        path = settings.store.with_suffix(".key")
        if not path.exists():
            if is_needed:
                sentence = f"The key {path} is gone: put it back, or what is waiting has to be sent again."
                get_logger("bridge").error("key_lost", sentence=sentence)
            get_logger("bridge").info("key_made", sentence=f"Guests' data is encrypted with {path}: back it up.")
            return Seal(make_key(path))
    return Seal(parse_key(settings.privacy_key(path), path))


def signatures_of(settings: Settings) -> Signatures:
    """Those who sign messages, and whether everybody has to.

    Raises:
        ConfigError: a key is of no use.
    """
    requesters = {
        name: Requester(
            name=name,
            algorithm=requester.algorithm,
            key=(requester.public_key or "").encode() or settings.requester_key(name),
            may=frozenset(requester.may),
        )
        for name, requester in settings.requesters.items()
    }
    signing = settings.signing
    return Signatures(requesters, required=signing.required, window_ms=signing.window_s * 1000)
