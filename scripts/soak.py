"""Kill daemons and brokers at random, by the thousand, and compare every card with every report.

Stops at the first violation, keeps its folder and exits with 1.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from kill.desk import Violation
from kill.matrix import record
from kill.rig import rigged
from kill.storm import Storm, Tally

ROUNDS = 50
DESKS = 3


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="stop after so many SIGKILLs (default: 1000)")
    parser.add_argument("--minutes", type=float, default=60, help="stop after so many minutes (default: 60)")
    parser.add_argument("--seed", type=int, default=None, help="repeat a run's choices; not its timing")
    parser.add_argument("--folder", type=Path, default=None, help="where to work (default: a new temporary folder)")
    options = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    folder = options.folder or Path(tempfile.mkdtemp(prefix="soak-"))
    print(f"seed {seed}, working in {folder}", flush=True)
    chance = random.Random(seed)
    started = time.monotonic()
    total = Tally()
    storm = 0
    while total.kills < options.kills and time.monotonic() - started < 60 * options.minutes:
        storm += 1
        here = folder / f"storm-{storm}"
        try:
            total += _storm(here, chance)
        except Violation as violation:
            print(f"VIOLATION in storm {storm} of seed {seed}, kept in {here}:\n{violation}", flush=True)
            return 1
        shutil.rmtree(here)
        print(f"{time.monotonic() - started:5.0f} s  {total}", flush=True)
    if options.folder is None:
        shutil.rmtree(folder)
    print(f"no violation: {total}")
    return 0


def _storm(folder: Path, chance: random.Random) -> Tally:
    with rigged(folder) as rig:
        try:
            points = record(rig, "record")
            fault_rate = chance.choice((0.0, 0.05, 0.2))
            trouble = chance.choice((0.0, 0.1, 0.3))
            kills = chance.random() < 0.5
            storm = Storm(
                rig,
                chance,
                points,
                desks=DESKS,
                fault_rate=fault_rate,
                broker_trouble=trouble,
                broker_kills=kills,
            )
            return storm.rage(ROUNDS)
        except Violation:
            shutil.copy(rig.broker.folder / "broker.log", folder / "broker.log")
            raise


if __name__ == "__main__":
    sys.exit(main())
