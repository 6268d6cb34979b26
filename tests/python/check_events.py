"""Reads event files with TensorBoard itself and prints what it shows, for tests/train/events.rs.

check_events.py FOLDER    {tag: [[step, value], …]} as JSON; needs tensorboard
--probe only says whether that is there.
"""

import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

if sys.argv[1] != "--probe":
    events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0})
    events.Reload()
    print(json.dumps({tag: [[one.step, one.value] for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]}))
