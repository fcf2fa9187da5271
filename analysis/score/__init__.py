"""How findings compare with truth: the metrics of docs/scoring.md."""

from analysis.score.calibration import Calibration, CalibrationBin, calibration_of
from analysis.score.compare import SLACK_M, ScoreSpec, score, score_pair
from analysis.score.diagram import write_diagram
from analysis.score.source import SeenStretch, Stated, read_stated
from analysis.score.tally import (
    BreachEvent,
    BreachTally,
    LineTally,
    MatchTally,
    OffsetTally,
    Recall,
    Score,
    StateTally,
    pooled,
)
from analysis.score.text import as_json, as_text

__all__ = [
    "SLACK_M",
    "BreachEvent",
    "BreachTally",
    "Calibration",
    "CalibrationBin",
    "LineTally",
    "MatchTally",
    "OffsetTally",
    "Recall",
    "Score",
    "ScoreSpec",
    "SeenStretch",
    "StateTally",
    "Stated",
    "as_json",
    "as_text",
    "calibration_of",
    "pooled",
    "read_stated",
    "score",
    "score_pair",
    "write_diagram",
]
