"""egress: the last look before bytes leave for a lane, and the one door through which they leave.

`guard` asks whether this request may go to this lane, from what its client sent and not from what the planner said;
`Door` asks whether this address is the lane's, and opens every connection that the process makes.
"""

from laneway.egress.door import Door, NoEntry, NotLetThrough, Reach, Through, reach_of
from laneway.egress.guard import guard

__all__ = ["Door", "NoEntry", "NotLetThrough", "Reach", "Through", "guard", "reach_of"]
