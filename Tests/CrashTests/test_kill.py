"""kill -9 under load, over and over, on one data directory."""

import random
import time

from keeper import Code
from lives import kill, start
from survivor import Survivor

KILLS = 110


def test_nothing_acknowledged_is_lost_over_a_hundred_kills_under_load(directory, seed):
    rng = random.Random(seed)
    survivor = Survivor(directory, rng)
    for number in range(KILLS):
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
            survivor.kill(load)
            gone = [call for call in survivor.told.calls[begun:] if call.code is Code.UNAVAILABLE]
            assert gone, "no client noticed the kill: it was not under load"
        except BaseException:
            print(f"kill {number + 1} of {KILLS}; the daemon says:\n{survivor.daemon and survivor.daemon.output()}")
            raise
    survivor.open()
    survivor.check_state(of_all=True)
    for candidacies in survivor.candidacies:
        survivor.drain_election(candidacies)
    survivor.catch_up()
    survivor.check_history()
    survivor.stop()
    print(f"{len(survivor.told.calls)} calls, {survivor.world.sequence} events")
