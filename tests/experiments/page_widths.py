"""What makes a page broader than a telephone: read from its HTML and CSS, since tests have no browser."""

import re
from html.parser import HTMLParser

#: Elements without an end.
_VOID = {"meta", "link", "img", "br", "hr", "input", "col"}
#: Broad by their content, which does not wrap.
_BROAD = ("table", "pre", "svg", "canvas", "iframe")
#: Pixels of a unit; percentages and others give way.
_UNITS = {"px": 1.0, "rem": 16.0, "em": 16.0, "pt": 4 / 3, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96.0}
_LENGTH = r"(\d*\.?\d+)(" + "|".join(_UNITS) + r")\b"


def find_broad(page: str, most: float = 400.0) -> list[str]:
    """Return what is broader than `most` pixels and does not scroll by itself; if nothing, it fits."""
    reader = _Reader(read_rules(page), most)
    reader.feed(page)
    return reader.found


def read_rules(page: str) -> dict[str, str]:
    """Return the declarations of each selector, outside of ``@media``."""
    style = "".join(re.findall(r"<style>(.*?)</style>", page, re.DOTALL))
    style = re.sub(r"@media[^{]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", "", style)
    rules: dict[str, str] = {}
    for selectors, declarations in re.findall(r"([^{}]+)\{([^{}]*)\}", style):
        for selector in selectors.split(","):
            name = " ".join(selector.split())
            rules[name] = f"{rules.get(name, '')};{declarations}"
    return rules


def list_widths(declarations: str) -> list[float]:
    """Return the widths in pixels below which a box cannot go: ``width``, ``min-width``, tracks of a grid."""
    texts = re.findall(r"(?:^|[;\s])(?:min-)?width:([^;]*)", declarations)
    texts += re.findall(r"minmax\(([^,]*),", declarations)
    return [float(number) * _UNITS[unit] for text in texts for number, unit in re.findall(_LENGTH, text)]


class _Reader(HTMLParser):
    """Walks through a page with the styles that apply to each element."""

    def __init__(self, rules: dict[str, str], most: float) -> None:
        super().__init__()
        self.rules, self.most = rules, most
        self.open: list[tuple[str, bool]] = []
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        style = self._style(tag, given)
        scrolls = re.search(r"overflow(-x)?: *(auto|scroll|hidden)", style) is not None
        if not (scrolls or any(inside for _, inside in self.open)):
            said = f"<{tag} class={given.get('class') or ''!r}>"
            if any(width > self.most for width in list_widths(style)):
                self.found.append(f"{said} has a width")
            if tag in _BROAD:
                self.found.append(f"{said} does not scroll")
            if tag == "img" and not re.search(r"(?:^|[;\s])(max-)?width: *100%", style):
                self.found.append(f"{said} does not shrink")
        if tag not in _VOID:
            self.open.append((tag, scrolls))

    def handle_endtag(self, tag: str) -> None:
        names = [name for name, _ in self.open]
        if tag in names:
            del self.open[len(names) - 1 - names[::-1].index(tag) :]

    def _style(self, tag: str, given: dict[str, str | None]) -> str:
        """Return the declarations of the element, of its classes, and of its place in its parents."""
        own = {"*", tag, *(f".{name}" for name in (given.get("class") or "").split())}
        own |= {f"{parent} {tag}" for parent, _ in self.open} | {
            f"{tag}{name}" for name in own if name[0] == "."
        }
        return ";".join([*(self.rules.get(name, "") for name in own), given.get("style") or ""])
