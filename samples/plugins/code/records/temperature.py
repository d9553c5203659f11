"""Temperatures on the scales in daily use."""

ABSOLUTE_ZERO = -273.15


def to_fahrenheit(celsius: float) -> float:
    """A temperature from degrees Celsius to degrees Fahrenheit."""
    return celsius * 9 / 5 + 32


def to_kelvin(celsius: float) -> float:
    """A temperature from degrees Celsius to kelvin; raises ValueError below absolute zero."""
    if celsius < ABSOLUTE_ZERO:
        raise ValueError("colder than cold")
    return celsius - ABSOLUTE_ZERO
