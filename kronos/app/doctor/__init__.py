"""Says why something does not move, and what to do."""

from kronos.app.doctor.doctor import Doctor, FullRights
from kronos.app.doctor.remark import Remark

__all__ = ["Doctor", "FullRights", "Remark"]
