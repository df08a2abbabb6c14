"""What a program imports to talk to a Kronos server: `Client(address, token)`."""

from kronos.client.client import Client
from kronos.client.records import EventRecord, FailureRecord, RunPage, RunRecord

__all__ = ["Client", "EventRecord", "FailureRecord", "RunPage", "RunRecord"]
