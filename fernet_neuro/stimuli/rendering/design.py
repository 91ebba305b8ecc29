"""Which pictures a set has: settings, factors and the random draws of each picture.

What belongs here: `RenderSettings`, and `plan_person`, which turns a recipe into one `FacePlan` per picture.
Every draw has its own stream, named by what it is for: adding people, views or sessions never changes others.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from fernet_neuro._utils.config import Settings
from fernet_neuro._utils.seeding import make_rng
from fernet_neuro._utils.validation import check_option, check_range
from fernet_neuro.stimuli.rendering import action_units as au
from fernet_neuro.stimuli.rendering.appearance import Appearance, draw_appearance
from fernet_neuro.stimuli.rendering.occluders import OCCLUDERS

#: Yaw in degrees of each named view; left and right are the viewer's.
VIEWS = {"full_left": -90.0, "half_left": -45.0, "straight": 0.0, "half_right": 45.0, "full_right": 90.0}
#: Views that a plain number stands for.
VIEW_SETS = {
    1: ("straight",),
    2: ("half_left", "half_right"),
    3: ("half_left", "straight", "half_right"),
    5: tuple(VIEWS),
}
#: Identity weights are kept within this many standard deviations: beyond, faces stop being faces.
WEIGHT_LIMIT = 2.4
_OCCLUDER_COLOURS = ((0.14, 0.15, 0.18), (0.30, 0.40, 0.52), (0.48, 0.20, 0.20), (0.72, 0.74, 0.76))


class RenderSettings(Settings):
    """Recipe of a rendered set.

    Parameters
    ----------
    identities : int
        Number of people.
    first_identity : int
        Number of the first one: sets with other numbers hold other people, under the same seed.
    expressions : "all" or list of str
    expressions_each : int or None
        How many of them each person shows, drawn anew for each; None for all.
    views : int or list of str
        1, 2, 3 or 5, or names out of `VIEWS`.
    sessions : int
        Each session draws light, small turns of the head, intensity and action units anew.
    size : int
        Height and width in pixels.
    seed : int
    face_model : str or list of str
        ``"builtin"``, or the path of an ``.npz`` file; people take turns through several.
    style : "shaded" or "drawn"
    intensity : float or list of float
        Activation of the expressions, 1 is the prototype; a list makes intensity a crossed factor.
    variation : float
        Spread of action units between sessions; 0 gives bare prototypes at exact intensities.
    mixtures : float
        Share of pictures whose expression is mixed with a second one.
    label_noise : float
        Share of pictures whose label is another expression than the one shown.
    occluders : list of str
        Names out of `OCCLUDERS`.
    occluder_share : float
        Share of pictures that wear one of them.
    continuous_pose : bool
        Draw yaw, pitch and roll from continuous ranges; the view is then the nearest named one.
    expression_weights : dict of str to float, optional
        Relative frequency of the expressions; rows of the rarer ones are left out at random.
    skin_tone : "random" or float
        A number gives all people the skin, lips, hair and eyes of that tone: only shape tells them apart.
    background : "grey" or "random"
    palette : int
        Number of colours of a palette picture; 0 writes 24-bit colour.
    """

    identities: int = Field(default=70, ge=1, le=100_000)
    first_identity: int = Field(default=0, ge=0)
    expressions: Literal["all"] | list[str] = "all"
    expressions_each: int | None = Field(default=None, ge=1)
    views: int | list[str] = 5
    sessions: int = Field(default=2, ge=1, le=26)
    size: int = Field(default=112, ge=16, le=2048)
    seed: int = Field(default=0, ge=0)
    face_model: str | Annotated[list[str], Field(min_length=1)] = "builtin"
    style: Literal["shaded", "drawn"] = "shaded"
    intensity: Annotated[float, Field(allow_inf_nan=True)] | list[float] = 1.0  # `_check_intensity` says more
    variation: float = Field(default=1.0, ge=0, le=2)
    mixtures: float = Field(default=0.0, ge=0, le=1)
    label_noise: float = Field(default=0.0, ge=0, le=1)
    occluders: list[str] = Field(default_factory=list)
    occluder_share: float = Field(default=0.5, ge=0, le=1)
    continuous_pose: bool = False
    expression_weights: dict[str, float] | None = None
    skin_tone: Literal["random"] | float = "random"
    background: Literal["grey", "random"] = "grey"
    palette: int = Field(default=0, ge=0, le=256)

    @field_validator("expressions")
    @classmethod
    def _check_expressions(cls, value: str | list[str]) -> str | list[str]:
        if isinstance(value, list):
            for name in value:
                check_option("expressions", name, au.EXPRESSIONS)
            _check_unique("expressions", value)
        return value

    @model_validator(mode="after")
    def _check_shown(self) -> "RenderSettings":
        if self.expressions_each is not None and self.expressions_each > len(self.expression_names):
            raise ValueError(
                f"expressions_each must be at most the number of expressions, {len(self.expression_names)}; "
                f"got {self.expressions_each}."
            )
        return self

    @field_validator("views")
    @classmethod
    def _check_views(cls, value: int | list[str]) -> int | list[str]:
        if isinstance(value, int):
            if value not in VIEW_SETS:
                raise ValueError(f"views must be 1, 2, 3 or 5, or a list of names; got {value}.")
            return value
        for name in value:
            check_option("views", name, VIEWS)
        _check_unique("views", value)
        return value

    @field_validator("intensity")
    @classmethod
    def _check_intensity(cls, value: float | list[float]) -> float | list[float]:
        levels = value if isinstance(value, list) else [value]
        for level in levels:
            check_range("intensity", level, 0.0, 1.5)
        _check_unique("intensity", levels)
        return value

    @field_validator("occluders")
    @classmethod
    def _check_occluders(cls, value: list[str]) -> list[str]:
        for name in value:
            check_option("occluders", name, OCCLUDERS)
        return value

    @field_validator("expression_weights")
    @classmethod
    def _check_weights(cls, value: dict[str, float] | None) -> dict[str, float] | None:
        for name, weight in (value or {}).items():
            check_option("expression_weights", name, au.EXPRESSIONS)
            check_range(f"expression_weights[{name!r}]", weight, 0.0)
        if value is not None and not any(value.values()):
            raise ValueError("expression_weights must have at least one weight above 0.")
        return value

    @field_validator("skin_tone")
    @classmethod
    def _check_tone(cls, value: str | float) -> str | float:
        return value if isinstance(value, str) else check_range("skin_tone", value, 0.0, 1.0)

    @property
    def expression_names(self) -> tuple[str, ...]:
        """Expressions in the order of the rows."""
        return tuple(au.EXPRESSIONS) if self.expressions == "all" else tuple(self.expressions)

    @property
    def face_models(self) -> tuple[str, ...]:
        """What faces are rendered from, in turns."""
        return (self.face_model,) if isinstance(self.face_model, str) else tuple(self.face_model)

    @property
    def view_names(self) -> tuple[str, ...]:
        """Views in the order of the rows."""
        return VIEW_SETS[self.views] if isinstance(self.views, int) else tuple(self.views)

    @property
    def intensity_levels(self) -> tuple[float, ...]:
        """Levels of intensity in the order of the rows."""
        return tuple(self.intensity) if isinstance(self.intensity, list) else (self.intensity,)


def _check_unique(name: str, values: list) -> None:
    if not values or len(set(values)) != len(values):
        raise ValueError(f"{name} must be a list of different values, at least one; got {values!r}.")


@dataclass(frozen=True)
class Person:
    """One identity: its weights and its colours."""

    name: str
    weights: np.ndarray
    appearance: Appearance


@dataclass(frozen=True)
class FacePlan:
    """One picture: every factor and number that makes it."""

    stimulus_id: str
    person: Person
    expression: str
    expression_true: str
    view: str
    session: str
    yaw: float
    pitch: float
    roll: float
    light: tuple[float, float, float]
    key: float
    ambient: float
    background: float
    intensity_level: float
    intensity: float
    action_units: str
    mixture: str
    mixture_share: float
    occluder: str


def draw_person(settings: RenderSettings, number: int, n_modes: int) -> Person:
    """Return identity `number`: the same weights and colours whatever else the set holds."""
    rng = make_rng(settings.seed, "identity", number)
    weights = np.clip(rng.normal(size=n_modes), -WEIGHT_LIMIT, WEIGHT_LIMIT)
    hue = make_rng(settings.seed, "appearance", number)
    colour = _OCCLUDER_COLOURS[int(hue.integers(len(_OCCLUDER_COLOURS)))]
    appearance = draw_appearance(hue, colour)
    if settings.skin_tone != "random":
        # One and the same person's colours for all.
        appearance = draw_appearance(make_rng(0, "appearance of all"), colour, tone=float(settings.skin_tone))
    return Person(f"id{number:03d}", np.round(weights, 4), appearance)


def plan_person(settings: RenderSettings, person: Person) -> Iterator[FacePlan]:
    """Yield the pictures of one person by expression, intensity, session and view."""
    for expression in _choose_expressions(settings, person):
        for level in settings.intensity_levels:
            for session in ascii_uppercase[: settings.sessions]:
                yield from _plan_session(settings, person, expression, level, session)


def _choose_expressions(settings: RenderSettings, person: Person) -> list[str]:
    """Return the expressions that a person shows, in the order of the rows."""
    names = list(settings.expression_names)
    if settings.expressions_each is None:
        return names
    rng = make_rng(settings.seed, "expressions shown", person.name)
    shown = rng.permutation(len(names))[: settings.expressions_each]
    return [names[index] for index in sorted(shown)]


def _plan_session(
    settings: RenderSettings, person: Person, expression: str, level: float, session: str
) -> Iterator[FacePlan]:
    """Yield the views of one moment: the face and the light are the same in all of them."""
    names = (person.name, expression, f"{level:.3f}", session)
    moment = make_rng(settings.seed, "moment", *names)
    light = _draw_light(make_rng(settings.seed, "light", person.name, session))
    intensity = level * (1 + settings.variation * float(np.clip(moment.normal(0, 0.06), -0.15, 0.15)))
    units = au.draw_activations(expression, moment, intensity=intensity, variation=settings.variation)
    units, mixture, share = _mix(settings, expression, units, make_rng(settings.seed, "mixture", *names))
    for view in settings.view_names:
        rng = make_rng(settings.seed, "picture", *names, view)
        kept, label, occluder = _draw_picture(settings, expression, rng)
        if not kept:
            continue
        yaw, pitch, roll = _draw_pose(settings, view, rng)
        suffix = f"_i{round(100 * level):03d}" if len(settings.intensity_levels) > 1 else ""
        yield FacePlan(
            stimulus_id=f"{person.name}_{expression}{suffix}_{session}_{view}",
            person=person,
            expression=label,
            expression_true=expression,
            view=_nearest_view(yaw) if settings.continuous_pose else view,
            session=session,
            yaw=yaw,
            pitch=pitch,
            roll=roll,
            **light,
            background=round(float(rng.uniform(0.3, 0.7)), 3) if settings.background == "random" else 0.5,
            intensity_level=level,
            intensity=round(intensity, 4),
            action_units=au.format_activations(units),
            mixture=mixture,
            mixture_share=share,
            occluder=occluder,
        )


def _draw_light(rng: np.random.Generator) -> dict:
    """Return where the key light stands, and how strong both lights are."""
    side, height = rng.normal(-0.1, 0.38), rng.uniform(0.15, 0.7)
    vector = np.array([np.clip(side, -0.9, 0.9), height, 1.0])
    vector /= np.sqrt((vector**2).sum())
    x, y, z = (round(float(v), 4) for v in vector)
    key, ambient = rng.uniform(0.66, 0.84), rng.uniform(0.38, 0.5)
    return {"light": (x, y, z), "key": round(float(key), 4), "ambient": round(float(ambient), 4)}


def _mix(
    settings: RenderSettings, expression: str, units: dict[str, float], rng: np.random.Generator
) -> tuple[dict[str, float], str, float]:
    wanted, pick, share = rng.random(), rng.random(), round(float(rng.uniform(0.2, 0.5)), 3)
    if wanted >= settings.mixtures:
        return units, "", 0.0
    others = [name for name in au.EXPRESSIONS if name not in (expression, "neutral")]
    other = others[int(pick * len(others))]
    second = au.draw_activations(other, rng, variation=settings.variation)
    mixed = au.parse_activations(au.format_activations(au.mix_activations(units, second, share)))
    return mixed, other, share


def _draw_picture(
    settings: RenderSettings, expression: str, rng: np.random.Generator
) -> tuple[bool, str, str]:
    """Return whether the picture is kept, its label, and what it wears."""
    keep, noise, wear = rng.random(3)
    other, thing = rng.random(2)
    weights = settings.expression_weights or {}
    most = max(weights.values(), default=1.0)
    kept = not weights or keep < weights.get(expression, 0.0) / most
    wrong = [name for name in settings.expression_names if name != expression]
    label = wrong[int(other * len(wrong))] if wrong and noise < settings.label_noise else expression
    worn = settings.occluders and wear < settings.occluder_share
    return kept, label, settings.occluders[int(thing * len(settings.occluders))] if worn else ""


def _draw_pose(settings: RenderSettings, view: str, rng: np.random.Generator) -> tuple[float, float, float]:
    jitter = np.clip(rng.normal(0, (2.0, 1.6, 1.0)), -5, 5)
    wide = rng.uniform((-70, -18, -12), (70, 18, 12))
    pose = wide if settings.continuous_pose else jitter + np.array([VIEWS[view], 0, 0])
    yaw, pitch, roll = (round(float(angle), 2) for angle in pose)
    return yaw, pitch, roll


def _nearest_view(yaw: float) -> str:
    return min(VIEWS, key=lambda name: abs(VIEWS[name] - yaw))
