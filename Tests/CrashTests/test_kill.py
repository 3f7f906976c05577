"""kill -9 under load, over and over, on one data directory."""

import random
import time

import pytest

from keeper import Code
from lives import kill, start
from survivor import Survivor

# A hundred and ten in all. With --sync off a crash of the daemon alone must lose nothing either.
LIVES = [pytest.param(90, (), id="synced"), pytest.param(20, ("--sync=off",), id="not synced")]


@pytest.mark.parametrize(("kills", "flags"), LIVES)
def test_nothing_acknowledged_is_lost_over_a_hundred_kills_under_load(directory, seed, kills, flags):
    rng = random.Random(seed)
    survivor = Survivor(directory, rng)
    survivor.flags += flags
    in_midst = 0  # kills that met at least one call under way
    for number in range(kills):
        try:
            if rng.random() < 0.15:  # A life that may end before it could begin.
                newborn = start(directory, *survivor.flags, ready=False)
                time.sleep(rng.uniform(0, 0.06))
                kill(newborn)
            survivor.open()
            survivor.check_state()
            survivor.drain_election(rng.choice(survivor.candidacies))
            begun = len(survivor.told.calls)
            load = survivor.load(rng.randint(20, 500))
            killed = time.monotonic()
            survivor.kill(load)
            gone = [call for call in survivor.told.calls[begun:] if call.code is Code.UNAVAILABLE]
            in_midst += any(call.sent < killed for call in gone)
        except BaseException:
            print(f"kill {number + 1} of {kills}; the daemon says:\n{survivor.daemon and survivor.daemon.output()}")
            raise
    print(f"{in_midst} of {kills} kills met calls under way")
    # Where nothing is synced a call is over in a moment, and mostly none is under way.
    assert in_midst > (0 if "--sync=off" in flags else kills / 2), "most kills were not under load"
    survivor.open()
    survivor.check_state(of_all=True)
    for candidacies in survivor.candidacies:
        survivor.drain_election(candidacies)
    survivor.catch_up()
    survivor.check_history()
    survivor.stop()
    assert ("--sync off is unsafe" in survivor.daemon.output()) == bool(flags)
    # Of the daemon itself: lines about events are the agents' story.
    warnings = [line for line in survivor.daemon.output().splitlines() if "WARNING" in line and " sequence=" not in line]
    assert len(warnings) == len(flags), warnings
    print(f"{len(survivor.told.calls)} calls, {survivor.world.sequence} events")
