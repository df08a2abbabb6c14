"""The fixtures that other tests stand on."""

from __future__ import annotations

import psycopg


def test_a_test_database_has_the_schema_and_nothing_in_it(database_url):
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM kronos.runs").fetchone() == (0,)
        connection.execute("CREATE TABLE mine ()")


def test_what_one_test_made_the_next_does_not_see(database_url):
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT to_regclass('mine')").fetchone() == (None,)


def test_the_market_data_is_there_or_the_test_says_why_not(market_data):
    assert list(market_data.iterdir())


def test_the_browser_is_there_or_the_test_says_why_not(chromium):
    assert chromium
