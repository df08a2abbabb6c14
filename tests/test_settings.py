"""What the environment may say, and what is refused by name."""

from __future__ import annotations

import pytest

from kronos.errors import InvalidInput
from kronos.settings import Address, parse_address, read_duration, read_settings


def test_an_empty_environment_binds_loopback_and_needs_no_database():
    settings = read_settings({})
    assert settings.database_url is None
    assert {settings.grpc_addr.host, settings.admin_addr.host, settings.metrics_addr.host} == {"127.0.0.1"}
    assert settings.worker_concurrency == 8
    assert settings.lease == 10
    assert settings.data_dir.name == ".kronos"
    assert settings.given == frozenset()


def test_what_was_set_is_known_to_be_set():
    settings = read_settings({"GRPC_ADDR": "[::1]:6000", "KRONOS_LEASE": "2m", "METRICS_ADDR": ""})
    assert settings.grpc_addr == Address("::1", 6000)
    assert str(settings.grpc_addr) == "[::1]:6000"
    assert settings.lease == 120
    assert settings.given == {"GRPC_ADDR", "KRONOS_LEASE"}


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("ADMIN_ADDR", "8080", "host:port"),
        ("ADMIN_ADDR", "127.0.0.1:70000", "0 to 65535"),
        ("WORKER_CONCURRENCY", "0", "1 to 256"),
        ("WORKER_CONCURRENCY", "many", "1 to 256"),
        ("KRONOS_LEASE", "-1", "positive"),
        ("KRONOS_LEASE", "0.001ms", "from 100ms to 1d"),
        ("KRONOS_LEASE", "9" * 400 + "d", "longer than 36500d"),
        ("KRONOS_LEASE", "٣s", "positive"),
        ("SCHEDULER_POLL_INTERVAL", "2h", "from 1ms to 1h"),
        ("SCHEDULER_POLL_INTERVAL", "1 fortnight", "10s"),
    ],
)
def test_an_unusable_value_is_refused_with_variable_value_and_remedy(name, value, remedy):
    with pytest.raises(InvalidInput) as caught:
        read_settings({name: value})
    assert name in str(caught.value)
    assert value in str(caught.value)
    assert remedy in str(caught.value)
    assert caught.value.facts == {"field": name, "value": value}


def test_a_password_is_never_shown():
    with pytest.raises(InvalidInput) as caught:
        read_settings({"DATABASE_URL": "mysql://me:hunter2@host/db"})
    assert "hunter2" not in f"{caught.value} {caught.value.facts}"
    assert "DATABASE_URL" in str(caught.value)
    assert "hunter2" not in repr(read_settings({"DATABASE_URL": "postgresql://me:hunter2@host/db"}))


@pytest.mark.parametrize(("text", "seconds"), [("10", 10), ("200ms", 0.2), ("1.5s", 1.5), ("10m", 600), ("2h", 7200)])
def test_durations_are_read_with_their_unit(text, seconds):
    assert read_duration(text) == pytest.approx(seconds)


def test_an_address_without_a_host_is_loopback():
    assert parse_address(":0") == Address("127.0.0.1", 0)
