"""Every endpoint of /api/v1, topic by topic."""

from __future__ import annotations

from typing import Final

from kronos.server import api, api_forks, api_messages

__all__ = ["ENDPOINTS"]

ENDPOINTS: Final = (*api.ENDPOINTS, *api_forks.ENDPOINTS, *api_messages.ENDPOINTS)
