"""Makes events.tfevents with the package tensorboard: the records that src/events writes, byte for byte.

python tests/golden/make_events.py tests/golden/events.tfevents
"""

import sys

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

events = [
    Event(wall_time=1.7e9, step=0, file_version="brain.Event:2"),
    Event(wall_time=1.7e9 + 0.5, step=11, session_log=SessionLog(status=SessionLog.START)),
    Event(
        wall_time=1.7e9 + 1.0,
        step=11,
        summary=Summary(
            value=[Summary.Value(tag="train/loss", simple_value=7.25), Summary.Value(tag="rate", simple_value=0.0)]
        ),
    ),
    Event(wall_time=1.7e9 + 2.0, step=1 << 40, summary=Summary(value=[Summary.Value(tag="τ", simple_value=-1e-30)])),
]
with open(sys.argv[1], "wb") as file:
    writer = RecordWriter(file)
    for event in events:
        writer.write(event.SerializeToString())
