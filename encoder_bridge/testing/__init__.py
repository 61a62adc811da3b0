"""The contract suite that every driver passes, ours and strangers'.

A lock vendor writes a bench and inherits the tests::

    class TestAcme(EncoderContract):
        @pytest.fixture
        def rig(self, tmp_path) -> Rig: ...
"""

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in (
            "_abilities",
            "_contract",
            "_desk",
            "_faults",
            "_life",
            "_resume",
            "_run",
            "_secrecy",
            "_watch",
            "_write",
            "_wrong",
        )
    )
)

from ._contract import EncoderContract  # noqa: E402
from ._rig import Person, Rig  # noqa: E402

__all__ = ["EncoderContract", "Person", "Rig"]
