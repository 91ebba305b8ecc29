"""Recipes of grids: named arms of a graph of networks over seeds, and what they are tested on.

What belongs here: the recipe's keys, and every check of the grid that needs no picture; how it is run is in
`run`.
"""

from typing import Any, Literal

from pydantic import Field, model_validator

from fernet_neuro._utils.config import Settings
from fernet_neuro._utils.validation import check_option
from fernet_neuro.catalogue import list_places
from fernet_neuro.experiments.graph import (
    STIMULI,
    GraphSettings,
    NetworkSettings,
    StimulusSet,
    change_networks,
    order_networks,
)
from fernet_neuro.experiments.settings import MapSettings
from fernet_neuro.stimuli.rendering.design import RenderSettings

Column = Literal[
    "accuracy", "mean_class_accuracy", "macro_f1", "training_loss", "params", "macs", "time"
]  # fmt: skip
#: The test of recipes with `folds`: the fold that a network was not trained on.
HELD_OUT = "held_out"
SCORES = ("accuracy", "mean_class_accuracy", "macro_f1")
COSTS = ("params", "macs", "time")


class HeldOutSet(StimulusSet):
    """Stimuli to test on.

    Parameters
    ----------
    label : str or None
        How tables call it; its name by default.
    map : dict of str to str
        Names of the table's labels to names of the classes, such as ``{happy: happiness}``.
    only_known : bool
        Leave out rows whose label is not a class; without it they are refused.
    allow_trained : bool
        Allow people of the training stimuli, as where equal names mean different people.
    """

    label: str | None = None
    map: dict[str, str] = Field(default_factory=dict)
    only_known: bool = False
    allow_trained: bool = False


class ArmSettings(Settings):
    """One row of the table.

    Parameters
    ----------
    tested : str
        The network that is tested.
    label : str or None
        How tables and figures call it; its name by default.
    set : dict
        What differs from the recipe's networks, keys with dots, such as ``{concepts.lr: 0.01}`` or
        ``{concepts.from.emotion: null}``.
    """

    tested: str
    label: str | None = None
    set: dict[str, Any] = Field(default_factory=dict)


class CostedNetwork(Settings):
    """A network whose cost a table shows, without training it.

    Parameters
    ----------
    model, model_options
        See `models.registry.build_model`.
    """

    model: str
    model_options: dict[str, Any] = Field(default_factory=dict)


class ArmMaps(MapSettings):
    """Maps of one layer of every arm's network, one for each seed.

    Parameters
    ----------
    layer : str
        What is mapped of each network.
    test : str or None
        The test whose faces are mapped; None takes the first.
    factors : tuple of str
        What maps are judged by.
    """

    layer: str
    test: str | None = None
    factors: tuple[str, ...] = Field(("expression",), min_length=1)


class Note(Settings):
    """A sentence below the tables that is only true of rendered stimuli.

    Parameters
    ----------
    text : str
    about : tuple of str
        Names of sets of stimuli. The sentence is left out where one of them is a table or is not there.
    """

    text: str
    about: tuple[str, ...] = Field(min_length=1)


class GridSettings(GraphSettings):
    """Arms of a graph of networks, each trained with every seed and tested on held-out stimuli.

    Parameters
    ----------
    title : str
        Heading of tables and page.
    stimuli : RenderSettings or str
        Faces to render for training, or the path of a stimulus table.
    tests : dict of str to HeldOutSet
        What every arm is tested on; none shows a person of the training stimuli. With `folds` there may be
        none.
    folds : int or None
        Cross-validation: the training stimuli are parted into so many folds (see
        `stimuli.splits.partition_table`), every network that learns from them is trained without each fold in
        turn, and the test "held_out" is the fold left out. Means and differences are over folds.
    networks, sets, seeds
        See `GraphSettings`. Intervals and tests are over seeds. Runs of equal content are trained once.
    arms : dict of str to ArmSettings
        What is compared.
    reference : str or None
        The arm that others are compared with, seed by seed; the first by default.
    columns : tuple of str
        What the tables show: scores ("accuracy", "mean_class_accuracy", "macro_f1"), of which figures show
        the first; "training_loss", the mean over the last epoch that counts; and of the tested network in use
        "params", "macs" and "time", the time per image over that of the reference arm.
    epoch : {"last", "best"}
        The epoch that the main table and the figure show, fixed beforehand; both are computed.
    published : dict of str to dict of str to (float or str)
        Printed values by arm and column, such as ``{crpn: {RAF-DB: 89.71}}``; they get columns of their own.
    comparators : dict of str to dict of str to (float or str)
        Printed values of other people's networks, as rows without a value of ours.
    published_source : str
        Where they are printed.
    published_chance : dict of str to float
        Chance of the published columns in %, where it is known.
    costed : dict of str to CostedNetwork
        Further networks to cost, such as those of the paper at their size.
    drop_from : str or None
        A test that others are compared with: tables then show how far each arm falls from it to every other
        test, over the classes that both show.
    maps : ArmMaps or None
        Maps of what the arms' networks make of a test's faces, in ``arm_maps``.
    figures : tuple of str
        Figures that are built beside `grid`.
    notes : tuple of (str or Note)
        Sentences that stand below the tables.
    shared : str or None
        Folder where experiments share rendered faces and training runs of equal content; None keeps them in
        the results folder. One experiment at a time may write to it.
    """

    experiment: Literal["grid"] = "grid"
    title: str = "Networks compared"
    stimuli: RenderSettings | str
    tests: dict[str, HeldOutSet] = Field(default_factory=dict)
    folds: int | None = Field(None, ge=2)
    arms: dict[str, ArmSettings] = Field(min_length=1)
    reference: str | None = None
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1)
    columns: tuple[Column, ...] = ("accuracy", "mean_class_accuracy")
    epoch: Literal["last", "best"] = "last"
    published: dict[str, dict[str, float | str]] = Field(default_factory=dict)
    comparators: dict[str, dict[str, float | str]] = Field(default_factory=dict)
    published_source: str = "the paper"
    published_chance: dict[str, float] = Field(default_factory=dict)
    costed: dict[str, CostedNetwork] = Field(default_factory=dict)
    drop_from: str | None = None
    maps: ArmMaps | None = None
    figures: tuple[str, ...] = ()
    notes: tuple[str | Note, ...] = ()
    shared: str | None = None

    @model_validator(mode="after")
    def _check_grid(self) -> "GridSettings":
        """Check everything that arms and tests refer to, before anything is rendered or trained."""
        for name in self.arms:
            try:
                self._check_arm(name)
            except ValueError as error:
                raise ValueError(f"arm {name!r}: {error}") from None
        if not self.metrics:
            raise ValueError(f"columns: give one score or more of {', '.join(SCORES)}.")
        for name in self.published:
            check_option("published: arm", name, self.arms)
        for name in self.comparators:
            if name in self.arms:
                raise ValueError(
                    f"comparators: {name!r} is an arm; its printed values belong to `published`."
                )
        if self.reference is not None:
            check_option("reference", self.reference, self.arms)
        self._check_tests()
        return self

    def _check_tests(self) -> None:
        if not self.shown_tests:
            raise ValueError("tests: give one set of stimuli or more to test on, or `folds`.")
        for name in self.tests:
            if name in (STIMULI, *self.sets) or (self.folds and name == HELD_OUT):
                raise ValueError(f"tests: {name!r} is the name of another set; choose another.")
            self.find_stimuli(name)
        mapped = self.maps.test if self.maps else None
        for key, test in (("drop_from", self.drop_from), ("maps.test", mapped)):
            if test is not None:
                check_option(key, test, self.shown_tests)
        if self.maps and self.folds:
            raise ValueError("maps are of one network for each arm and seed, and `folds` trains several.")
        for name in self.figures:
            check_option("figures", name, list_places("figures"))

    def _check_arm(self, name: str) -> None:
        arm = self.arms[name]
        check_option("tested", arm.tested, self.networks)
        self.check_seeded([arm.tested])
        networks = self.resolve(name)
        self.check_graph(networks)
        needed = order_networks(networks, [arm.tested])
        for key in arm.set:
            if key.split(".")[0] not in needed:
                raise ValueError(
                    f"{key!r} changes a network that the arm does without; it tests {arm.tested!r}."
                )
        tested = networks[arm.tested]
        if self.epoch == "best" and tested.val_share == 0 and tested.val_stimuli is None:
            raise ValueError(f"epoch 'best' needs validation, and {arm.tested}.val_share is 0.")

    def resolve(self, name: str) -> dict[str, NetworkSettings]:
        """Return the networks of the arm `name`, with what it changes.

        Raises ValueError if a key is unknown or a value is not allowed.
        """
        return change_networks(self.networks, self.arms[name].set)

    def find_tested(self, name: str) -> NetworkSettings:
        """Return the network that the arm `name` is tested with, with what the arm changes."""
        return self.resolve(name)[self.arms[name].tested]

    def list_sets(self) -> dict[str, StimulusSet]:
        """Return all sets of stimuli: those of training first, then the tests."""
        return {**super().list_sets(), **self.tests}

    def list_notes(self) -> list[str]:
        """Return the sentences of `notes` that hold for these stimuli."""
        rendered = {name for name in self.list_sets() if not isinstance(self.find_stimuli(name), str)}
        kept = [note for note in self.notes if isinstance(note, str) or set(note.about) <= rendered]
        return [note if isinstance(note, str) else note.text for note in kept]

    def list_pinned(self) -> dict[str, int]:
        """Return the seeds of networks that are one for all seeds of an arm."""
        needed = [
            name for arm in self.arms for name in order_networks(self.resolve(arm), [self.arms[arm].tested])
        ]
        seeds = {name: self.networks[name].seed for name in needed}
        return {name: seed for name, seed in seeds.items() if seed is not None}

    def label_of(self, arm: str) -> str:
        """Return how tables call an arm."""
        return self.arms[arm].label or arm

    @property
    def shown_tests(self) -> dict[str, HeldOutSet]:
        """All tests of the tables: the fold left out, where there are folds, and then `tests`."""
        left_out = {HELD_OUT: HeldOutSet(of=STIMULI, label="held-out fold")} if self.folds else {}
        return {**left_out, **self.tests}

    @property
    def metrics(self) -> tuple[str, ...]:
        """The scores among the columns."""
        return tuple(name for name in self.columns if name in SCORES)

    @property
    def costs(self) -> tuple[str, ...]:
        """What the columns show of the networks in use."""
        return tuple(name for name in self.columns if name in COSTS)

    @property
    def reference_arm(self) -> str:
        """The arm that others are compared with."""
        return self.reference or next(iter(self.arms))
