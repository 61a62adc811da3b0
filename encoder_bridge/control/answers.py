"""Answers as HTTP: the status that says what a body says, and bodies for what never reached the intake."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

from encoder_bridge import wire

_MALFORMED = frozenset(
    {"invalid_json", "missing_field", "missing_time_zone", "invalid_validity", "invalid_message", "expired"},
)
_BY_ERROR: Mapping[str, HTTPStatus] = MappingProxyType(
    {
        **dict.fromkeys(_MALFORMED, HTTPStatus.BAD_REQUEST),
        "unknown_job": HTTPStatus.NOT_FOUND,
        "unknown_request": HTTPStatus.NOT_FOUND,
        "payload_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "internal_error": HTTPStatus.INTERNAL_SERVER_ERROR,
        "clock_not_set": HTTPStatus.SERVICE_UNAVAILABLE,
        "bridge_stopping": HTTPStatus.SERVICE_UNAVAILABLE,
    },
)
_BY_STATUS: Mapping[str, HTTPStatus] = MappingProxyType(
    {
        "accepted": HTTPStatus.ACCEPTED,
        "held": HTTPStatus.ACCEPTED,
        "refused": HTTPStatus.TOO_MANY_REQUESTS,
        **dict.fromkeys(("rejected", "stale", "failed", "unsure", "cancelled", "expired"), HTTPStatus.CONFLICT),
    },
)


def status_of(answer: wire.Response) -> HTTPStatus:
    """The status for an answer; 200 unless another says more.

    202: something will still happen.  400, 404, 413: mend it.  409: not as things stand.  429, 503: later.  500: our
    fault.
    """
    by_status = _BY_STATUS.get(answer.status, HTTPStatus.OK)
    if answer.status in {"rejected", "refused"} and answer.error:
        return _BY_ERROR.get(answer.error.type, by_status)
    return by_status


def refusal(error: wire.Problem) -> wire.Response:
    """An answer for what never reached the intake."""
    return wire.Response(status="rejected", error=error)
