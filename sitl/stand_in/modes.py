"""ArduCopter's flight modes, those that the stand-in has, by their numbers."""

from __future__ import annotations

STABILIZE, ALT_HOLD, AUTO, GUIDED, LOITER, RTL, LAND, BRAKE, SMART_RTL = 0, 2, 3, 4, 5, 6, 9, 17, 21
MODES = {
    STABILIZE: "STABILIZE",
    ALT_HOLD: "ALT_HOLD",
    AUTO: "AUTO",
    GUIDED: "GUIDED",
    LOITER: "LOITER",
    RTL: "RTL",
    LAND: "LAND",
    BRAKE: "BRAKE",
    SMART_RTL: "SMART_RTL",
}
