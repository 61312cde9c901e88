"""Kubernetes resource quantities, made canonical: `0.5` → `500m`, `2048Mi` → `2Gi`. Knows no resource."""

import re
from fractions import Fraction
from typing import Final

from knitfab.errors import KnitError

_FORM: Final = re.compile(
    r"([+-]?)(\d+\.?\d*|\.\d+)(?:([KMGTPE]i)|([numkMGTPE])|[eE]([+-]?\d{1,3}))?", re.ASCII
)
_BINARY: Final = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
_DECIMAL: Final = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E"}
_POWERS: Final = {suffix: power for power, suffix in _DECIMAL.items()}
_LARGEST: Final = (1 << 63) - 1
_ANY: Final = re.compile(r"([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)", re.ASCII)
_SHAPE: Final = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_SUFFIX: Final = "unable to parse quantity's suffix"


def parse_quantity(text: str) -> Fraction:
    """The number that a quantity stands for, rounded up to a billionth and capped at 2^63 - 1."""
    number = _parse(text)[0]
    return max(min(number, Fraction(_LARGEST)), Fraction(-_LARGEST))


def canonical_quantity(text: str) -> str:
    """The quantity in the form engines show it."""
    number, style = _parse(text)
    if number == 0:
        return "0"
    if style == "binary" and abs(number) >= 1024 and number.denominator == 1:
        return _binary(int(number))
    return _decimal(number, exponent=style == "exponent")


def _parse(text: str) -> tuple[Fraction, str]:
    match = _FORM.fullmatch(text.strip())
    if match is None or len(text) > 100:
        raise KnitError(_SUFFIX if _ANY.fullmatch(text) else _SHAPE, code="invalid")
    sign, digits, binary, decimal, exponent = match.groups()
    number = Fraction(digits.rstrip("."))
    if binary:
        number *= 1024 ** _BINARY.index(binary)
    else:
        number *= Fraction(10) ** (int(exponent) if exponent else _POWERS[decimal or ""])
    number = Fraction(-(-number * 10**9 // 1), 10**9)
    if binary:  # Kubernetes caps these alone.
        number = min(number, Fraction(_LARGEST))
    style = "binary" if binary else "exponent" if exponent else "decimal"
    return (-number if sign == "-" else number), style


def _binary(number: int) -> str:
    power = 0
    while number % 1024 == 0 and power < len(_BINARY) - 1:
        number, power = number // 1024, power + 1
    return f"{number}{_BINARY[power]}"


def _decimal(number: Fraction, exponent: bool) -> str:
    """The shortest whole number times a power of 1000."""
    power = -9
    scaled = int(number * 10**9)
    while scaled % 1000 == 0 and (exponent or power < 18):
        scaled, power = scaled // 1000, power + 3
    if exponent:
        return f"{scaled}e{power}" if power else str(scaled)
    return f"{scaled}{_DECIMAL[power]}"
