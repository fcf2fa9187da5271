"""Pre-flight check of a plan's written files, without the planner's code for what it verifies.

Positions, distances and terrain are worked out anew: on the ellipsoid, at 1 m, from the files that
would be loaded onto the aircraft. Shared with the planner are only the readers of the files, the
configuration model and the energy model.
"""

from missions.check.findings import CheckFinding, Level
from missions.check.run import check_plan

__all__ = ["CheckFinding", "Level", "check_plan"]
