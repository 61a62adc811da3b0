"""A daemon that breaks one promise is found out by a kill at the right moment; without a kill it looks well."""

from __future__ import annotations

import pytest

from kill.desk import Violation
from kill.matrix import record, strike
from kill.rig import Rig

BROKEN = {
    "acknowledges_before_the_commit": (None, "commit.accept.before@1", "was not reported"),
    "forgets_a_report_before_it_is_told": (None, "publish.event.before@1", "was not reported"),
    "writes_before_the_intent_is_on_disk": (None, "commit.intend.before@1", "carried by .*,|torn cards"),
    "forgets_which_card_was_begun": ("block.after@5", "commit.told.before@1", "torn cards"),
    "believes_every_card": ("block.after@5", "publish.event.after@2", "is not on"),
    "reports_under_a_new_id_each_time": (None, "publish.event.after@1", "2 final reports"),
}
"""Promise, first kill, kill, and what is said of it."""


@pytest.mark.parametrize("promise", BROKEN)
def test_a_broken_promise_is_found_out(rig: Rig, promise: str) -> None:
    prelude, point, complaint = BROKEN[promise]
    record(rig, "well", broken=promise)
    with pytest.raises(Violation, match=complaint):
        strike(rig, "broken", [point], prelude, desks=1, broken=promise, patience_s=3)
