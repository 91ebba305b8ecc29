"""How p values are written, on pages, in sentences and by commands; files keep all their digits."""


def format_p(value: float | None) -> str:
    """Return a p value with three decimals and no zero before the point.

    Examples
    --------
    >>> format_p(0.0004), format_p(0.043), format_p(float("nan"))
    ('< .001', '.043', '–')
    """
    if value is None or value != value:  # NaN differs from itself
        return "–"
    return "< .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def say_p(value: float | None) -> str:
    """Return a p value as a sentence says it.

    Examples
    --------
    >>> say_p(0.0004), say_p(0.043), say_p(None)
    ('p < .001', 'p = .043', 'no p-value')
    """
    if value is None or value != value:
        return "no p-value"
    return f"p {format_p(value)}" if value < 0.001 else f"p = {format_p(value)}"
