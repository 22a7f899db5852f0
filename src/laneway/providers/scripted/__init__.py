"""ScriptedLane: a small real lane on loopback whose answers and faults are scripted.

It speaks the OpenAI chat wire, stream and not, over raw sockets, so that it can misbehave byte by byte.
The demo's premium lane, the tests' lane, and the floor of the benchmarks:

    async with ScriptedLane(answer="Four.") as lane:
        ...                                           # call lane.url
        lane.fault = "503"                            # from now on

    python -m laneway.providers.scripted --port 0     # prints {"url": "http://127.0.0.1:PORT/v1"}
"""

from laneway.providers.scripted.lane import ScriptedLane
from laneway.providers.scripted.script import FAULTS, Answer, Fault, Scripted, Seen

__all__ = ["FAULTS", "Answer", "Fault", "Scripted", "ScriptedLane", "Seen"]
