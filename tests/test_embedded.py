"""The embedded Postgres: started, shared, adopted, crashed, left."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest

from kronos.errors import Unavailable
from kronos.storage.embedded import EmbeddedPostgres
from kronos.storage.embedded.placement import ELSEWHERE, SOCKET_NAME, SOCKET_PATH_MAX, find_home

AS_ROOT = os.geteuid() == 0

STARTER = """
import os, signal, sys
from pathlib import Path
from kronos.storage.embedded import EmbeddedPostgres

server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(server.server_pid(), flush=True)
if sys.stdin.readline().strip() == "die":
    os.kill(os.getpid(), signal.SIGKILL)
server.release()
"""


@pytest.fixture
def server(data_folder):
    server = EmbeddedPostgres(data_folder)
    yield server
    server.release()


class Starter:
    """Another process that uses the server."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-c", STARTER, str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def server_pid(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def end(self, how: str) -> int:
        self.process.communicate(how)
        return self.process.returncode


def ask(url: str, question: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(question).fetchone()
    assert row is not None
    return row[0]


def test_a_warm_start_takes_less_than_the_one_that_makes_the_cluster(server):
    """How long both take is measured by `benchmarks.startup`."""
    started = time.perf_counter()
    server.start()
    cold_s = time.perf_counter() - started
    warm = []
    for _ in range(3):
        server.stop()
        started = time.perf_counter()
        server.start()
        warm.append(time.perf_counter() - started)
    assert min(warm) < cold_s


def test_a_commit_survives_a_power_cut_and_it_listens_on_no_network_and_asks_for_the_password(server, data_folder):
    url = server.start()
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        assert ask(url, f"SHOW {setting}") == "on"
    assert ask(url, "SHOW listen_addresses") == ""
    assert ask(url, "SELECT setting FROM pg_settings WHERE name = 'unix_socket_permissions'") == "0700"
    password = find_home(data_folder).path / "password"
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    assert str(ask(url, "SELECT rolpassword FROM pg_authid WHERE rolname = 'kronos'")).startswith("SCRAM-SHA-256$1:")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url.replace(password.read_text(), "wrong"))


def test_it_never_runs_as_root(server):
    server.start()
    assert Path(f"/proc/{server.server_pid()}").stat().st_uid != 0


def test_the_last_user_out_stops_it(server, data_folder):
    server.start()
    second = Starter(data_folder)
    assert second.server_pid() == server.server_pid()
    assert sorted(server.users()) == sorted([os.getpid(), second.process.pid])
    server.release()
    assert server.server_pid() is not None
    assert second.end("leave") == 0
    assert server.server_pid() is None


def test_a_server_whose_starter_was_killed_is_adopted(server, data_folder):
    starter = Starter(data_folder)
    pid = starter.server_pid()
    assert starter.end("die") == -signal.SIGKILL
    server.start()
    assert server.server_pid() == pid
    assert server.users() == [os.getpid()]
    server.release()
    assert server.server_pid() is None


def test_starters_at_the_same_moment_share_one_server(server, data_folder):
    starters = [Starter(data_folder) for _ in range(4)]
    assert len({starter.server_pid() for starter in starters}) == 1
    assert [starter.end("leave") for starter in starters] == [0, 0, 0, 0]
    assert server.server_pid() is None


def test_kept_up_it_outlives_its_users_until_it_is_stopped(server):
    kept = server.start(keep=True)
    assert server.users() == []
    assert server.start() == kept
    server.release()
    assert server.url() == kept
    server.stop()
    with pytest.raises(Unavailable, match="kronos db start"):
        server.url()


def test_what_was_committed_survives_the_death_of_the_server(server):
    url = server.start()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE facts AS SELECT 7 AS n")
    for _ in range(3):
        writing = psycopg.connect(url)
        writing.execute("INSERT INTO facts VALUES (8)")
        os.kill(server.server_pid(), signal.SIGKILL)
        url = server.start()
        writing.close()
        assert ask(url, "SELECT array_agg(n) FROM facts") == [7]


def test_an_old_backend_that_holds_the_shared_memory_is_waited_for(server):
    url = server.start()
    busy = threading.Thread(target=_count_for_seconds, args=(url,))
    busy.start()
    while ask(url, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT count%series%'") < 2:
        time.sleep(0.01)
    os.kill(server.server_pid(), signal.SIGKILL)
    assert ask(server.start(), "SELECT 1") == 1
    busy.join(30)
    assert "pre-existing shared memory block" in find_home(server._data_dir).log.read_text()


def _count_for_seconds(url: str) -> None:
    connection = psycopg.connect(url)
    with contextlib.suppress(psycopg.OperationalError):
        connection.execute("SELECT count(*) FROM generate_series(1, 15000000)")  # looks at no latch while it counts
    connection.close()


def test_a_dead_servers_lock_file_that_names_a_stranger_is_not_believed(server, data_folder):
    server.start()
    home = find_home(data_folder)
    os.kill(server.server_pid(), signal.SIGKILL)
    lock = home.data / "postmaster.pid"
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and server.server_pid() is not None:
        time.sleep(0.01)
    text = lock.read_text()
    lock.write_text(text.replace(text.splitlines()[0], str(os.getpid()), 1))
    assert server.server_pid() is None
    server.start()
    assert ask(server.url(), "SELECT 1") == 1


def test_a_long_path_gets_a_short_socket(data_folder):
    deep = data_folder / ("long" * 20) / ("longer" * 10)
    server = EmbeddedPostgres(deep)
    try:
        assert ask(server.start(), "SELECT 1") == 1
        socket = find_home(deep).socket_folder()
        assert len(str(socket / SOCKET_NAME)) <= SOCKET_PATH_MAX
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    finally:
        server.stop()
        shutil.rmtree(find_home(deep).socket_folder(), ignore_errors=True)


def test_data_of_another_major_version_is_refused_by_name(server, data_folder):
    home = find_home(data_folder)
    home.data.mkdir()
    (home.data / "PG_VERSION").write_text("15\n")
    with pytest.raises(Unavailable, match=r"PostgreSQL 15.*KRONOS_DATA_DIR"):
        server.start()


def test_a_half_made_cluster_is_made_again(server, data_folder):
    home = find_home(data_folder)
    (home.path / "data.new" / "base").mkdir(parents=True)
    (home.path / "password.new").write_text("left by a starter that was killed")
    assert ask(server.start(), "SELECT 1") == 1


def test_a_data_folder_that_is_a_file_is_refused_by_name(data_folder):
    (data_folder / "file").touch()
    with pytest.raises(Unavailable, match="KRONOS_DATA_DIR"):
        EmbeddedPostgres(data_folder / "file").start()


# ------------------------------------------------------------------------------------ only as root


@pytest.fixture
def closed_folder(data_folder):
    """A folder that only root can enter, as /root is."""
    closed = data_folder / "closed"
    closed.mkdir(mode=0o700)
    (closed / "kronos").mkdir()
    yield closed / "kronos"
    if closed.exists() and AS_ROOT:
        EmbeddedPostgres(closed / "kronos").stop()
        for left in ELSEWHERE.glob(f"{find_home(closed / 'kronos').path.name}*"):
            shutil.rmtree(left)


@pytest.mark.skipif(not AS_ROOT, reason="only root's folders are closed to the server's user")
def test_where_its_user_cannot_go_it_lives_elsewhere_and_says_so(closed_folder, capfd):
    server = EmbeddedPostgres(closed_folder)
    assert ask(server.start(), "SELECT 1") == 1
    home = find_home(closed_folder)
    assert home.path.parent == ELSEWHERE
    assert str(home.path) in capfd.readouterr().err
    assert stat.S_IMODE(closed_folder.parent.stat().st_mode) == 0o700
    server.release()
    assert server.server_pid() is None


@pytest.mark.skipif(not AS_ROOT, reason="as above")
def test_a_deleted_data_folder_does_not_come_back_with_its_old_database(closed_folder, capfd):
    first = EmbeddedPostgres(closed_folder)
    with psycopg.connect(first.start(keep=True), autocommit=True) as connection:
        connection.execute("CREATE TABLE old ()")
    shutil.rmtree(closed_folder)
    second = EmbeddedPostgres(closed_folder)
    assert ask(second.start(), "SELECT to_regclass('old')") is None
    assert "predecessor is kept" in capfd.readouterr().err
    second.release()
    assert second.server_pid() is None


def _as_nobody(folder: Path, answers: multiprocessing.Queue[object]) -> None:
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)
    os.environ["HOME"] = "/nonexistent"
    try:
        EmbeddedPostgres(folder / "of-root").start()
    except Unavailable as error:
        answers.put(str(error))
    server = EmbeddedPostgres(folder / "of-nobody")
    answers.put(ask(server.start(), "SELECT 1"))
    server.release()
    answers.put(server.server_pid())


@pytest.mark.skipif(not AS_ROOT, reason="an ordinary user runs every other test of this file as itself")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_an_ordinary_user_without_a_home_runs_it_as_itself(data_folder):
    (data_folder / "of-root").mkdir(mode=0o755)
    (data_folder / "of-nobody").mkdir()
    nobody = pwd.getpwnam("nobody")
    os.chown(data_folder / "of-nobody", nobody.pw_uid, nobody.pw_gid)
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=_as_nobody, args=(data_folder, answers))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert "set KRONOS_DATA_DIR to a folder of your own" in answers.get(timeout=5)
    assert answers.get(timeout=5) == 1
    assert answers.get(timeout=5) is None
