"""Hidden footpaths: worn or mown lines that people walk, found in orthophotos."""

from analysis.footpaths.config import FootpathConfig
from analysis.footpaths.find import Footpath, find_footpaths
from analysis.footpaths.judge import PathClass
from analysis.footpaths.results import footpath_findings

__all__ = ["Footpath", "FootpathConfig", "PathClass", "find_footpaths", "footpath_findings"]
