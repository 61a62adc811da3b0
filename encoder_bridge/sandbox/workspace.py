"""The folders of one simulation."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from encoder_bridge.errors import StoreError
from encoder_bridge.sandbox.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Where jobs and cards lie."""

    store: Path
    cards: Path
    keeps_cards: bool

    @classmethod
    @contextmanager
    def open(cls, plan: Plan) -> Iterator[Workspace]:
        """Make the folders; what was not asked for is removed at the end.

        Raises:
            StoreError: a folder cannot be made.
        """
        with tempfile.TemporaryDirectory(prefix="encoder-bridge-", ignore_cleanup_errors=True) as folder:
            private = Path(folder)
            store = plan.store or private / "store"
            workspace = cls(
                store=store,
                # A job that is resumed asks for its card: one stock and one store belong together.
                cards=plan.cards or (store / "cards" if plan.store else private / "cards"),
                keeps_cards=bool(plan.cards or plan.store),
            )
            try:
                workspace.store.mkdir(parents=True, exist_ok=True)
                workspace.cards.mkdir(parents=True, exist_ok=True)
                if plan.faults:
                    workspace.forget_faults()
            except OSError as error:
                sentence = f"The folder {error.filename} cannot be used ({error.strerror}): name another."
                raise StoreError(sentence) from None
            yield workspace

    def forget_faults(self) -> None:
        """Let the faults that are asked for strike, although an earlier run with this stock has used them up."""
        for used_up in self.cards.glob("readers/*.faults"):
            used_up.unlink()
