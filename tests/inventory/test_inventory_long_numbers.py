"""A number of more digits than Python writes in decimal stays a text, however it is written."""

from __future__ import annotations

import pytest

from converge.reading.scalars import became, ini_value, yaml_value

LONG = {
    "hex": "0x_" + "9" * 5000,
    "minus hex": "-0x" + "f" * 5000,
    "binary": "0b" + "1" * 20_000,
    "octal": "0" + "7" * 6000,
    "decimal": "9" * 5000,
    "base 60": "1" + ":59" * 3000,
    "base 60 with a fraction": "1" + ":59" * 3000 + ".5",
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_in_yaml(text: str) -> None:
    assert yaml_value(text) == text
    assert became(text, yaml_value(text)) == ""


@pytest.mark.parametrize("text", ["0x" + "f" * 5000, "9" * 5000, "[1, 0x" + "f" * 5000 + "]"], ids=["hex", "decimal", "in a list"])
def test_in_ini(text: str) -> None:
    assert ini_value(text) == text
