"""Ways to a venue and back: one port, and the adapters that fit it."""

from kronos.trading.adapters.port import VenueAdapter
from kronos.trading.adapters.reception import Reception
from kronos.trading.adapters.recorded import RecordedVenue
from kronos.trading.adapters.reports import Report, read_reports, write_reports
from kronos.trading.adapters.simulated import SimulatedVenue

__all__ = ["Reception", "RecordedVenue", "Report", "SimulatedVenue", "VenueAdapter", "read_reports", "write_reports"]
