"""Styles inside the GeoPackage, so that QGIS opens the findings coloured as the report has them.

QGIS reads a table `layer_styles` from the file itself; the row marked default is applied to its
layer on opening (https://docs.qgis.org, "Save and share layer properties").
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from xml.sax.saxutils import quoteattr

STATE_COLOURS = {
    "intact": "#0072b2",
    "breach": "#d55e00",
    "obscured": "#e69f00",
    "unseen": "#7a7a7a",
    "no_fence": "#000000",
}
"""Okabe and Ito's palette, told apart by people who see red and green alike."""
KIND_COLOURS = {
    "breach": "#d55e00",
    "footpath": "#f0e442",
    "access_point": "#cc79a7",
    "plot": "#009e73",
}
_DASHES = {"intact": "solid", "breach": "solid", "obscured": "dash", "unseen": "dot",
           "no_fence": "dash dot"}  # fmt: skip
_WIDTHS_MM = {"intact": 0.6, "breach": 1.6, "obscured": 1.0, "unseen": 0.8, "no_fence": 0.5}

_TABLE = """
CREATE TABLE layer_styles (
  id INTEGER PRIMARY KEY AUTOINCREMENT, f_table_catalog TEXT(256), f_table_schema TEXT(256),
  f_table_name TEXT(256), f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT,
  styleSLD TEXT, useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),
  update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))
"""


def add_styles(gpkg: Path) -> None:
    """Adds the table of styles to a GeoPackage of findings, for the layers that it has."""
    styles = {
        "fence_condition": _categories("state", {s: _line(c, _WIDTHS_MM[s], _DASHES[s])
                                                 for s, c in STATE_COLOURS.items()}),
        "findings": _rules(),
        "fence_line": _single(_line("#56b4e9", 0.3, "solid")),
        "crossings": _single(_line("#cc79a7", 0.6, "dash")),
    }  # fmt: skip
    with closing(sqlite3.connect(gpkg)) as database, database:
        present = dict(
            database.execute("SELECT table_name, column_name FROM gpkg_geometry_columns")
        )
        database.execute(_TABLE)
        database.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier) "
            "VALUES ('layer_styles', 'attributes', 'layer_styles')"
        )
        for layer, qml in styles.items():
            if layer in present:
                database.execute(
                    "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, "
                    "f_geometry_column, styleName, styleQML, styleSLD, useAsDefault, description, "
                    "owner) VALUES ('', '', ?, ?, 'fencewalk', ?, '', 1, 'as in report.html', '')",
                    (layer, present[layer], qml),
                )


def _document(renderer: str, labels: str = "") -> str:
    return (
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>"
        f'<qgis version="3.28.0" styleCategories="Symbology|Labeling">{renderer}{labels}</qgis>'
    )


def _rgba(colour: str, alpha: int = 255) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"{red},{green},{blue},{alpha}"


def _layer(kind: str, options: dict[str, str]) -> str:
    values = "".join(
        f"<Option type={quoteattr('QString')} name={quoteattr(name)} value={quoteattr(value)}/>"
        for name, value in options.items()
    )
    return (
        f'<layer class="{kind}" pass="0" locked="0" enabled="1">'
        f'<Option type="Map">{values}</Option></layer>'
    )


def _line(colour: str, width_mm: float, dash: str) -> tuple[str, str]:
    options = {
        "line_color": _rgba(colour),
        "line_width": f"{width_mm}",
        "line_width_unit": "MM",
        "line_style": dash,
        "capstyle": "flat",
        "joinstyle": "round",
    }
    return "line", _layer("SimpleLine", options)


def _marker(colour: str, shape: str, size_mm: float) -> tuple[str, str]:
    options = {
        "color": _rgba(colour),
        "name": shape,
        "size": f"{size_mm}",
        "size_unit": "MM",
        "outline_color": "0,0,0,255",
        "outline_width": "0.3",
    }
    return "marker", _layer("SimpleMarker", options)


def _fill(colour: str) -> tuple[str, str]:
    options = {
        "color": _rgba(colour, 70),
        "style": "solid",
        "outline_color": _rgba(colour),
        "outline_width": "0.6",
        "outline_style": "solid",
    }
    return "fill", _layer("SimpleFill", options)


def _symbol(name: str, symbol: tuple[str, str]) -> str:
    kind, layer = symbol
    return f'<symbol type="{kind}" name={quoteattr(name)} alpha="1">{layer}</symbol>'


def _single(symbol: tuple[str, str]) -> str:
    return _document(
        f'<renderer-v2 type="singleSymbol"><symbols>{_symbol("0", symbol)}</symbols></renderer-v2>'
    )


def _categories(column: str, symbols: dict[str, tuple[str, str]]) -> str:
    entries = "".join(
        f'<category render="true" symbol="{index}" value={quoteattr(value)} '
        f'label={quoteattr(value.replace("_", " "))} type="string"/>'
        for index, value in enumerate(symbols)
    )
    drawn = "".join(_symbol(str(index), symbol) for index, symbol in enumerate(symbols.values()))
    return _document(
        f'<renderer-v2 type="categorizedSymbol" attr="{column}"><categories>{entries}</categories>'
        f"<symbols>{drawn}</symbols></renderer-v2>"
    )


def _rules() -> str:
    """One layer of points, lines and polygons: a rule a kind, each with the symbol it needs."""
    symbols = {
        "breach": _line(KIND_COLOURS["breach"], 1.6, "solid"),
        "footpath": _line(KIND_COLOURS["footpath"], 0.6, "solid"),
        "access_point": _marker(KIND_COLOURS["access_point"], "triangle", 4.0),
        "plot": _fill(KIND_COLOURS["plot"]),
    }
    rules = "".join(
        f'<rule key="{{{kind}}}" symbol="{index}" filter="kind = &apos;{kind}&apos;" '
        f'label="{kind.replace("_", " ")}"/>'
        for index, kind in enumerate(symbols)
    )
    drawn = "".join(_symbol(str(index), symbol) for index, symbol in enumerate(symbols.values()))
    return _document(
        f'<renderer-v2 type="RuleRenderer"><rules key="{{all}}">{rules}</rules>'
        f"<symbols>{drawn}</symbols></renderer-v2>"
    )
