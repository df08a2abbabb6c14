"""What the pure cores need of the world, as Protocols; adapters live above and are chosen in `kronos.app`."""

from kronos.ports.blobs import Blobs
from kronos.ports.datasets import DatasetIndex, DatasetRow
from kronos.ports.recordings import CheckpointRef, Recorder, Recordings, SegmentRef

__all__ = ["Blobs", "CheckpointRef", "DatasetIndex", "DatasetRow", "Recorder", "Recordings", "SegmentRef"]
