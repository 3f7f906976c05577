"""`agentkeeper backup` while it runs, and `agentkeeper verify` of what is there."""

import os
import random
import re
import sqlite3
from collections import Counter

import pytest

from keeper import pb
from lives import AS_ROOT, DATABASE, NOBODY, contents, run, start
from survivor import Survivor
from told import End
from world import Fault


def backup(file, directory, **options):
    return run("backup", file, f"--data-dir={directory}", **options)


def restored(copy, parent, original):
    """A survivor on a directory that was made from a copy. The copy is a moment of the original: its first events, and
    exactly the state that they give."""
    directory = parent / copy.stem
    directory.mkdir(mode=0o700)
    copy.rename(directory / DATABASE)
    count = last_sequence(verify(directory))
    survivor = Survivor(directory, random.Random(0))
    survivor.daemon = start(directory, *survivor.flags)
    survivor.client = survivor.daemon.client()
    survivor.watch()
    survivor.follow()
    # What follows is this daemon's own: leases and claims that have run out here, and the mark that was just set.
    seen, there = ([event for event, _ in each.world.events[:count]] for each in (survivor, original))
    assert len(seen) == count and seen == there
    survivor.prober = original.prober
    survivor.check_state(of_all=True)
    return survivor, count


def last_sequence(verified):
    """Up to which event a directory has them all."""
    return int(re.search(r"last sequence (\d+)", verified.stdout)[1])


def test_a_backup_under_load_is_a_moment_of_it_from_which_a_daemon_starts(directory, tmp_path, seed):
    original = Survivor(directory, random.Random(seed))
    original.open()
    copies = []
    for number in range(4):
        load = original.load(500)
        original.told.wait_for(len(original.told.calls) + 200, load.alive)
        promised = last_event(original)
        done = backup(tmp_path / f"copy-{number}.db", directory)
        assert done.returncode == 0, done.stderr
        copies.append((tmp_path / f"copy-{number}.db", promised))
        load.end()
        original.catch_up()
        original.check_state()
    original.catch_up()
    for copy, promised in copies:
        survivor, count = restored(copy, tmp_path, original)
        assert count >= promised, f"the backup has {count} events, and {promised} were known before it began"
        # And goes on from there.
        survivor.load(100).end()
        survivor.follow()
        survivor.stop()
    original.stop()


def last_event(survivor):
    """How far the events have come that a client knows of."""
    policy = dict(id="mark", subject="a", action="b", resource="now", effect=pb.POLICY_EFFECT_ALLOW)
    assert survivor.told.ask(survivor.client, "SetPolicy", policy=policy).done
    events = [survivor.watcher.next()]
    while not (events[-1].topic == "policy.set" and b"now" in events[-1].payload.value):
        events.append(survivor.watcher.next())
    for event in events:
        survivor.world.apply(event)
    return survivor.world.sequence


def test_a_backup_of_a_directory_that_no_daemon_has(directory, tmp_path, seed):
    original = Survivor(directory, random.Random(seed))
    original.open()
    original.kill(original.load(300))
    done = backup(tmp_path / "copy.db", directory)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "copy.db").stat().st_mode & 0o077 == 0, "others may read the backup"
    original.open()
    survivor, _ = restored(tmp_path / "copy.db", tmp_path, original)
    survivor.stop()
    original.stop()


def test_a_backup_replaces_no_file(directory, tmp_path):
    daemon = start(directory)
    (tmp_path / "copy.db").write_text("precious")
    done = backup(tmp_path / "copy.db", directory)
    assert done.returncode == 1 and "there already" in done.stderr
    assert (tmp_path / "copy.db").read_text() == "precious"
    assert daemon.stop() == 0


def test_a_backup_that_fails_leaves_nothing_behind(directory, tmp_path):
    done = backup(tmp_path / "copy.db", directory)  # There is no such directory.
    assert done.returncode == 1 and str(directory) in done.stderr and one_line(done)
    assert list(tmp_path.iterdir()) == [] and not directory.exists()
    daemon = start(directory)
    done = backup(tmp_path / "no" / "copy.db", directory)
    assert done.returncode == 1 and one_line(done)
    assert daemon.stop() == 0


def one_line(done):
    return len([line for line in (done.stdout + done.stderr).splitlines() if line.strip()]) == 1


@pytest.fixture
def crashed(directory, seed):
    survivor = Survivor(directory, random.Random(seed))
    survivor.open()
    survivor.kill(survivor.load(500))
    return survivor


def verify(directory, **options):
    return run("verify", directory, **options)


def test_verify_says_what_a_crashed_directory_holds_and_changes_nothing(crashed):
    before = contents(crashed.directory)
    done = verify(crashed.directory)
    assert done.returncode == 0, done.stdout + done.stderr
    assert contents(crashed.directory) == before
    crashed.open()
    crashed.stop()
    done = verify(crashed.directory)
    assert done.returncode == 0, done.stdout + done.stderr
    # A lease can run out when the daemon is about to end, and has told its watchers so.
    world, last = crashed.world, last_sequence(done)
    crashed.daemon = start(crashed.directory, *crashed.flags)
    crashed.client = crashed.daemon.client()
    crashed.watch()
    while world.sequence < last:
        world.apply(crashed.watcher.next())
    assert crashed.daemon.stop() == 0
    agents = Counter(agent.status for agent in world.agents.values())
    tasks = Counter(task.status for task in world.tasks.values())
    for text in (
        f"agents: {agents[pb.AGENT_STATUS_ALIVE]} alive, 0 unreachable, {agents[pb.AGENT_STATUS_DEAD]} dead",
        f"{tasks[pb.TASK_STATUS_COMPLETED]} completed, {tasks[pb.TASK_STATUS_DEAD]} dead",
        f"{len(world.policies)} policies",
        f"{len(world.elections)} elections",
        f"last sequence {world.sequence}",
    ):
        assert text in done.stdout, f"no {text!r} in\n{done.stdout}"
    assert len(world.tasks) == sum(map(int, re.findall(r"(\d+) (?:pending|claimed|completed|dead)", tasks_of(done))))


def tasks_of(done):
    return done.stdout.partition("tasks: ")[2].partition(";")[0]


@pytest.mark.parametrize("damage", ["short", "flipped", "foreign", "text", "gone"])
def test_verify_finds_damage(crashed, damage):
    file = crashed.directory / DATABASE
    match damage:
        case "short":
            os.truncate(file, file.stat().st_size // 2)
        case "flipped":
            content = bytearray(file.read_bytes())
            content[len(content) // 4 :] = bytes(each ^ 0x5A for each in content[len(content) // 4 :])
            file.write_bytes(content)
        case "foreign":
            file.unlink()
            database = sqlite3.connect(file)
            database.execute("CREATE TABLE notes (text TEXT)")
            database.close()
        case "text":
            file.write_text("To whom it may concern.\n")
        case "gone":
            file.unlink()
    before = contents(crashed.directory)
    done = verify(crashed.directory)
    assert done.returncode == 1 and (done.stdout + done.stderr).strip()
    assert contents(crashed.directory) == before


def test_every_byte_of_a_crashed_directory_counts(crashed, seed):
    """Wherever one bit of what was written flips: either it did not matter, and all that was acknowledged is still
    there, or the daemon says that there is damage. It never starts on less."""
    rng = random.Random(seed)
    # What was written last of all could as well be what a crash tore: that it was whole once, nothing can prove.
    crashed.open()
    crashed.load(300).end()
    crashed.catch_up()
    count = crashed.compared_events
    last = crashed.told.ask(crashed.client, "DeletePolicy", id="marker")
    last.end = End.UNKNOWN
    crashed.kill()
    files = {path: path.read_bytes() for path in crashed.directory.iterdir() if path.is_file()}
    # Bytes that are not zero: most of a file that was laid out in advance is.
    places = {path: [n for n, byte in enumerate(content) if byte] for path, content in files.items()}
    written = {path: found for path, found in places.items() if found}
    refusals = 0
    for _ in range(25):
        path = rng.choice(list(written))
        place = rng.choice(written[path])
        damaged = bytearray(files[path])
        damaged[place] ^= 1 << rng.randrange(8)
        for each in crashed.directory.iterdir():
            each.unlink()
        for each, content in files.items():
            each.write_bytes(damaged if each == path else content)
        done = verify(crashed.directory)
        assert done.returncode in (0, 1), f"byte {place} of {path.name}: {done.returncode} {done.stderr}"
        if done.returncode == 1:
            refusals += 1
            continue
        survivor = Survivor(crashed.directory, random.Random(0))
        survivor.told.calls = list(crashed.told.calls)
        try:
            survivor.open()  # Which compares all of them with all events.
        except Fault as fault:
            pytest.fail(f"byte {place} of {path.name}: {fault}")
        assert survivor.world.events[:count] == crashed.world.events[:count], f"byte {place} of {path.name}"
        survivor.stop()
    assert refusals > 0, "no damage was ever found"


@AS_ROOT
def test_verify_needs_no_right_to_write(crashed):
    crashed.directory.parent.chmod(0o755)
    for path in (crashed.directory, *crashed.directory.iterdir()):
        path.chmod(0o555 if path.is_dir() else 0o444)
    prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    done = verify(crashed.directory, prefix=prefix)
    assert done.returncode == 0, done.stdout + done.stderr
