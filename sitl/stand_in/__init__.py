"""A vehicle of our own for machines without ArduPilot; it says what it is wherever it is asked.

Its behaviour follows what ArduCopter publishes of itself (documentation, parameter descriptions,
recorded flights); `docs/sitl.md` keeps the measured differences. A flight of the stand-in proves
the mission, the link and the tools; it is no proof of what an autopilot does.
"""
