"""`kronos fsck`, `doctor`, `data sweep`, `retention` and `export` as they are typed."""

from __future__ import annotations

import json

import psycopg
import pytest

from kronos.cli import main


@pytest.fixture
def kronos(scene, tmp_path, monkeypatch, capsys):
    """Types a command; returns its exit code, its output and what it said beside."""
    monkeypatch.setenv("DATABASE_URL", scene.url)
    monkeypatch.setenv("KRONOS_DATA_DIR", str(tmp_path))

    def type_command(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, arguments)))
        shown = capsys.readouterr()
        return ended.value.code or 0, shown.out, shown.err

    return type_command


@pytest.fixture
def lost_command(scene):
    """A fault that is there for as long as a test looks."""
    with psycopg.connect(scene.url, autocommit=True) as connection:
        change = "UPDATE kronos.runs SET inbox_n = inbox_n + %s WHERE id = %s"
        connection.execute(change, (1, scene.failed))
        yield scene.failed
        connection.execute(change, (-1, scene.failed))


def test_fsck_says_that_a_sound_database_is_sound(kronos):
    assert kronos("fsck") == (0, "", "sound: nothing is wrong\n")
    assert kronos("fsck", "--json")[:2] == (0, "[]\n")


def test_fsck_ends_with_1_and_says_which_row_what_it_means_and_what_to_do(kronos, lost_command):
    code, out, err = kronos("fsck", "--run", lost_command)
    assert code == 1
    assert err == "1 findings\n"
    assert out.startswith(f"inbox: runs: {lost_command}: 1 commands were sent, 0 are seen, 0 are in the inbox\n")
    assert "means: " in out
    assert "do: " in out
    code, out, _ = kronos("fsck", "--all", "--json")
    assert code == 1
    (found,) = json.loads(out)
    assert found["row"] == f"runs: {lost_command}"
    assert set(found) == {"check", "row", "what", "means", "do"}


def test_heads_are_exported_and_compared_with(kronos, tmp_path):
    code, _, err = kronos("fsck", "--write-anchor", tmp_path / "heads")
    heads = len((tmp_path / "heads").read_text().splitlines()) - 1  # the first line names the format
    assert (code, err) == (0, f"{heads} heads written to {tmp_path / 'heads'}\n")
    assert heads >= 12
    assert kronos("fsck", "--anchor", tmp_path / "heads")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--run", "seven"), "run id 'seven' is not a UUID"),
        (("--run", "00000000-0000-7000-8000-000000000000"), "no run 00000000-0000-7000-8000-000000000000"),
        (("--all", "--run", "00000000-0000-7000-8000-000000000000"), "--run and --all exclude each other"),
        (("--anchor", "/no/such/file"), "--anchor /no/such/file: "),
    ],
)
def test_fsck_refuses_what_it_cannot_use_by_name(kronos, arguments, message):
    code, out, err = kronos("fsck", *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_doctor_explains_a_run_and_the_database_in_one_line_each(kronos, scene):
    code, out, _ = kronos("doctor", scene.failed)
    assert (code, out) == (
        0,
        "ok    end: it is failed at step 'fails': ValueError: 1 is disliked; nothing more will happen\n",
    )
    code, out, _ = kronos("doctor", "--json")
    remarks = json.loads(out)
    assert code == any(remark["level"] == "bad" for remark in remarks)
    assert {"server", "disk", "clock"} <= {remark["topic"] for remark in remarks}
    assert kronos("doctor", "seven")[0] == 2


def test_classes_are_set_listed_and_refused_by_name(kronos, scene):
    assert kronos("retention", "set", "short", "--keep", "14d")[0] == 0
    code, out, _ = kronos("retention", "list", "--json")
    assert code == 0
    assert {"name": "short", "keep_s": 14 * 86_400.0, "hold": False, "runs": 0, "expired": 0} in json.loads(out)[
        "classes"
    ]
    assert "short     14d" in kronos("retention", "list")[1]
    assert kronos("retention", "expire") == (0, "", "0 partitions have expired\n")
    code, _, err = kronos("retention", "set", "short", "--keep", "soon")
    assert (code, "--keep 'soon': write it as" in err) == (2, True)
    assert kronos("retention", "drop", "events_standard")[0] == 2


def test_a_sweep_says_what_it_took(kronos):
    code, out, _ = kronos("data", "sweep", "--json")
    assert (code, set(json.loads(out))) == (0, {"examined", "deleted", "bytes"})


def test_runs_are_exported_as_they_are_chosen(kronos, scene, tmp_path):
    code, out, _ = kronos("export", "--runs", scene.failed, "--to", tmp_path / "one", "--json")
    assert (code, json.loads(out)["runs"], json.loads(out)["steps"]) == (0, 1, 2)
    code, _, err = kronos("export", "--workflow", "failing", "--since", "2020-01-01", "--to", tmp_path / "all")
    assert (code, err.startswith("1 runs, ")) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--runs", "seven"), "run id 'seven' is not a UUID"),
        (("--since", "yesterday"), "--since 'yesterday': write it as 2026-01-31"),
        (("--phase", "done"), "--phase 'done' is unknown; known: pending"),
        (("--partition", "events"), "'events' is no detached partition"),
        (("--partition", "events", "--workflow", "texts"), "exclude each other"),
    ],
)
def test_export_refuses_what_it_cannot_use_by_name(kronos, tmp_path, arguments, message):
    code, _, err = kronos("export", *arguments, "--to", tmp_path / "out")
    assert (code, message in err) == (2, True)
