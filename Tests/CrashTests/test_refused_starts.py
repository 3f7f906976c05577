"""Directories on which no daemon starts: one clear line, status 1, and not a byte is touched."""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess

import pytest

from keeper import Code, refused
from lives import AS_ROOT, DATABASE, NOBODY, contents, freeze, kill, needs, refuses_to_start, run, start

UNPRIVILEGED = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


@pytest.fixture
def used(directory):
    """A directory on which a daemon ran, with something of everything in it, and was killed."""
    daemon = start(directory)
    fill(daemon)
    kill(daemon)
    return directory


@pytest.fixture
def closed(directory):
    """The same, ended in good order."""
    daemon = start(directory)
    fill(daemon)
    assert daemon.stop() == 0
    return directory


def fill(daemon):
    client = daemon.client()
    agent = client.agent("one", ttl=3600)
    for number in range(200):
        client.lease(f"t{number}", agent, ttl_seconds=3600)
        client.CreateTask(type="x", input=b"i" * 500)
    client.Campaign(group="g", agent_id=agent)


def untouched(directory, *texts, **options):
    before = contents(directory)
    line = refuses_to_start(directory, *texts, **options)
    assert contents(directory) == before
    return line


def test_a_second_daemon_on_the_directory(directory):
    daemon = start(directory)
    client = daemon.client()
    client.agent()
    freeze(daemon)  # So that it does not write itself meanwhile.
    untouched(directory, "use|another daemon|locked", str(directory))
    daemon.process.send_signal(signal.SIGCONT)
    assert client.agent()
    kill(daemon)
    daemon = start(directory)  # The lock goes with its holder, however that ends.
    assert daemon.stop() == 0


def test_a_directory_of_a_newer_version(closed):
    database = sqlite3.connect(closed / DATABASE)
    (version,) = database.execute("PRAGMA user_version").fetchone()
    assert version > 0, "there is no schema version"
    database.execute(f"PRAGMA user_version = {version + 1}")
    database.commit()
    database.close()
    untouched(closed, "newer", str(version + 1))


@pytest.mark.parametrize("keep", [0, 1, 100, 4_096, 10_000])
def test_a_database_cut_short(closed, keep):
    os.truncate(closed / DATABASE, keep)
    untouched(closed, DATABASE)


@pytest.mark.parametrize("where", ["magic", "header", "schema", "inside"])
def test_a_database_with_flipped_bytes(closed, where):
    size = (closed / DATABASE).stat().st_size
    begin, end = {"magic": (0, 16), "header": (16, 24), "schema": (100, 116), "inside": (size // 4, size)}[where]
    with open(closed / DATABASE, "r+b") as file:
        file.seek(begin)
        bytes_there = file.read(end - begin)
        file.seek(begin)
        file.write(bytes(each ^ 0x5A for each in bytes_there))
    untouched(closed, DATABASE)


def test_a_foreign_database(directory):
    directory.mkdir()
    database = sqlite3.connect(directory / DATABASE)
    database.executescript("CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('mine');")
    database.close()
    untouched(directory, DATABASE)


def test_a_text_file_of_that_name(directory):
    directory.mkdir()
    (directory / DATABASE).write_text("To whom it may concern.\n" * 500)
    untouched(directory, DATABASE)


def test_a_directory_of_that_name(directory):
    (directory / DATABASE).mkdir(parents=True)
    untouched(directory, DATABASE)


def test_a_directory_whose_database_is_gone(used):
    os.remove(used / DATABASE)
    untouched(used, DATABASE)


def test_a_log_cut_short_where_nothing_was_written_yet(used):
    """It loses nothing, and so is no damage; wherever the file ends."""
    for log in used.glob("log.*"):
        os.truncate(log, 700_001)
    daemon = start(used)
    assert len(daemon.client().ListTasks(page_size=1_000).tasks) == 200
    assert daemon.stop() == 0


@needs("sqlite3")
def test_damage_that_only_the_loading_finds(used):
    """The log is whole, and would be put into the database; a row there is not."""
    daemon = start(used)  # Which puts what there was into the database.
    daemon.client().agent("two")
    kill(daemon)
    # As it is, without the tidying up that a connection does at its end.
    command = ["sqlite3", "-cmd", ".dbconfig no_ckpt_on_close on", used / DATABASE, "UPDATE agents SET name = 'other'"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (used / "ballast").unlink(missing_ok=True)  # It means nothing, and makes room for what is tried here.
    untouched(used, DATABASE, "agents")


def test_a_file_in_the_place_of_the_directory(directory):
    directory.write_text("a file")
    refuses_to_start(directory, "directory", str(directory))
    assert directory.read_text() == "a file"


def test_an_empty_path():
    done = run("--addr=127.0.0.1:0", "--metrics-addr=off", "--data-dir=")
    assert done.returncode in (1, 64) and "data-dir" in done.stderr


def test_a_directory_below_one_that_does_not_exist(directory):
    refuses_to_start(directory / "below" / "below", str(directory / "below"))
    assert not directory.exists()


@AS_ROOT
@needs("setpriv")
def test_no_permission_to_read(used):
    used.parent.chmod(0o755)
    for path in (used, *used.iterdir()):
        path.chmod(0o700 if path.is_dir() else 0o600)
    untouched(used, "permission", prefix=UNPRIVILEGED)


@AS_ROOT
@needs("setpriv")
def test_no_permission_to_write(used):
    used.parent.chmod(0o755)
    for path in (used, *used.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    untouched(used, "permission", prefix=UNPRIVILEGED)


@AS_ROOT
@needs("setpriv")
def test_no_permission_to_make_the_directory(directory):
    directory.parent.chmod(0o755)
    refuses_to_start(directory, "permission", prefix=UNPRIVILEGED)
    assert not directory.exists()


@pytest.fixture
def read_only(used):
    mounts = ["mount", "--bind", used, used], ["mount", "-o", "remount,bind,ro", used]
    for command in mounts:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"a read-only file system needs the right to mount: {done.stderr.strip()}")
    yield used
    subprocess.run(["umount", "-l", used], check=True)


def test_a_read_only_file_system(read_only):
    untouched(read_only, "read-only")


def test_a_directory_may_be_made_and_may_be_empty(directory):
    daemon = start(directory)
    assert daemon.client().agent() and daemon.stop() == 0
    shutil.rmtree(directory)
    directory.mkdir()
    daemon = start(directory)
    assert daemon.client().agent() and daemon.stop() == 0


def test_what_it_makes_is_for_its_owner_only(directory):
    """Tasks and cards can be confidential."""
    daemon = start(directory, prefix=["sh", "-c", 'umask 022; exec "$@"', "sh"])
    daemon.client().agent()
    for path in (directory, *directory.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path
    assert daemon.stop() == 0


def test_a_taken_port_leaves_the_directory_free(used):
    """What fails later at the start lets go of the lock, and loses nothing."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        done = run(f"--addr={address}", "--metrics-addr=off", f"--data-dir={used}")
    assert done.returncode == 1 and address in done.stderr
    daemon = start(used)
    client = daemon.client()
    with refused(Code.PERMISSION_DENIED):
        client.RenewLease(task_id="t7", agent_id=client.agent(), token=dict(value=1))
    assert daemon.stop(signal.SIGINT) == 0
