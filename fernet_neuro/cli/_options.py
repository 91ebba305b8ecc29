"""Options that commands share, each declared once; and from their words to what functions take.

What belongs here: types of options, in the panels of the help, and the words that a shell completes.
"""

from collections.abc import Callable
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fernet_neuro._utils.validation import check_between, check_jobs

if TYPE_CHECKING:
    from fernet_neuro.faces.landmarks import LandmarkTable
    from fernet_neuro.stimuli.table import StimulusTable
    from fernet_neuro.stimuli.text_table import TextTable

#: Panels of the help, beside the first one with what most calls need.
MODELS, NETWORK, STATISTICS, OUTPUT = "Model RDMs", "Network", "Statistics", "Output and speed"


def text(
    help: str, panel: str | None = None, name: str | None = None, metavar: str | None = "NAME", **more: Any
) -> Any:
    """Return an option in a panel of the help, called like its parameter unless a `name` is given."""
    return typer.Option(
        *([] if name is None else [name]), help=help, rich_help_panel=panel, metavar=metavar, **more
    )


number, file, folder, table = (partial(text, metavar=metavar) for metavar in ("N", "FILE", "DIR", "TABLE"))
#: A whole number from 1, or `min`, on.
count = partial(number, min=1)


def real(
    help: str,
    panel: str | None = None,
    *,
    low: float = 0.0,
    high: float = 1.0,
    ends: bool = False,
    **more: Any,
) -> Any:
    """Return an option that takes a number between `low` and `high`, with `ends` one of these too."""

    def check(param: typer.CallbackParam, value: Any) -> Any:
        for item in value if isinstance(value, list) else [] if value is None else [value]:
            check_between(param.opts[0], item, low, high, ends=ends)
        return value

    return number(help, panel, callback=check, **more)


#: A number above 0, or from 0 on.
positive, measure = partial(real, high=inf), partial(real, high=inf, ends=True)


def flag(name: str, help: str, panel: str | None = None, **more: Any) -> Any:
    """Return an option that is there or not."""
    return text(help, panel, name, metavar="", **more)


def argument(help: str, metavar: str, **more: Any) -> Any:
    """Return an argument."""
    return typer.Argument(help=help, metavar=metavar, show_default=False, **more)


def complete_names(kind: str) -> Callable[[str], list[str]]:
    """Return what completes names of one kind in `catalogue`, or built-in ``recipes``, in a shell."""

    def complete(incomplete: str) -> list[str]:
        from fernet_neuro._utils.shipped import list_recipes
        from fernet_neuro.catalogue import list_places

        names = list_recipes() if kind == "recipes" else list_places(kind)
        return [name for name in names if name.startswith(incomplete)]

    return complete


def _complete_devices(incomplete: str) -> list[str]:
    return [name for name in ("auto", "cpu", "cuda", "mps") if name.startswith(incomplete)]


def _count_jobs(jobs: int) -> int:
    if check_jobs("--jobs", jobs) > 0:
        return jobs
    from joblib import effective_n_jobs

    return int(effective_n_jobs(jobs))


def _use_backend(context: typer.Context, backend: str | None) -> None:
    from fernet_neuro._utils.workers import using_backend

    if backend is not None and not context.resilient_parsing:
        context.with_resource(using_backend(backend))


def _list_recipes(context: typer.Context, asked: bool) -> None:
    """Print the built-in recipes of the command, a line each, and leave."""
    from fernet_neuro._utils.shipped import TRAININGS, describe_recipe, list_recipes

    if not asked:
        return
    is_train = context.command.name == "train"
    recipes = {
        name: path for name, path in list_recipes().items() if (path.parent.name == TRAININGS) == is_train
    }
    width = max(map(len, recipes))
    for name, path in recipes.items():
        typer.echo(f"{name:{width}}  {describe_recipe(path)}")
    raise typer.Exit


def count_workers(jobs: int) -> int:
    """Return how many processes decode images beside this one, which does so itself if it has one job."""
    return 0 if jobs == 1 else jobs


Table = Annotated[Path, argument("A stimulus table, .csv or .parquet, or builtin.", "TABLE")]
Stimuli = Annotated[Path, table("Stimulus table, .csv or .parquet, or builtin.")]
SourceStimuli = Annotated[
    Path | None, table("Stimulus table, .csv or .parquet, or builtin; networks need one.")
]
Network = Annotated[
    str,
    argument(
        "A registered name, torchvision name, timm:NAME, file.py:function, or a run folder.", "NETWORK",
        autocompletion=complete_names("networks"),
    ),
]  # fmt: skip
Recipe = Annotated[
    Path,
    argument(
        "A built-in recipe by its name, or a YAML file.", "RECIPE", autocompletion=complete_names("recipes")
    ),
]
Layers = Annotated[list[str], text("A layer, as in `models show`; repeat for more.", None, "--layer")]
AllLayers = Annotated[bool, flag("--all-layers", "All layers.")]
Regions = Annotated[list[str], text("Only this region; repeat for more.  [default: all]", None, "--roi")]
Subjects = Annotated[
    list[str], text("Only this participant; repeat for more.  [default: all]", None, "--subject", "LABEL")
]
LeftOut = Annotated[
    list[str], text("A stimulus to leave out, such as rest; repeat for more.", None, "--leave-out")
]
Settings = Annotated[
    list[str], text("Change a setting, such as seed=1 (YAML); repeat for more.", None, "--set", "KEY=VALUE")
]
Selection = Annotated[
    list[str], text("Only this part of the table; repeat for more.", None, "--select", "FACTOR=VALUE")
]
Columns = Annotated[
    list[str], text("Rename a column of --csv to ours; repeat for more.", None, "--column", "OURS=THEIRS")
]
FaceModel = Annotated[str, file("What faces are rendered from: builtin, or an .npz file (ICT).")]
AllowTrained = Annotated[
    bool, flag("--allow-trained", "Go on if a run was trained on the people that it is tested on.")
]
Resume = Annotated[bool, flag("--resume", "Go on in a folder that the same recipe began.")]
ListRecipes = Annotated[
    bool, flag("--list", "List the built-in recipes and leave.", callback=_list_recipes, is_eager=True)
]

Factors = Annotated[
    list[str], text("A column of the table, as a model; repeat for more.", MODELS, "--factor")
]
Weights = Annotated[
    list[str],
    text("Numeric columns that make one model; repeat for more.", MODELS, "--weights", "NAME=COLUMN,..."),
]
Landmarks = Annotated[Path | None, file("Landmarks, as `stimuli landmarks` writes them, as a model.", MODELS)]
Texts = Annotated[
    str | None,
    text(
        "A text table (.npz), or builtin, as a model: how far apart texts of the expressions are.", MODELS,
        "--text", "TEXTS",
    ),
]  # fmt: skip
Pixels = Annotated[bool, flag("--pixels", "The pictures' grey levels, as a model.", MODELS)]
Distance = Annotated[str, text("Between patterns: correlation, cosine or squared_euclidean.", MODELS)]
Gabor = Annotated[bool, flag("--gabor", "Gabor energies, as in early visual cortex, as a model.", MODELS)]

Size = Annotated[int | None, count("Side of the image in pixels.  [default: the network's own]", NETWORK)]
Input = Annotated[
    str | None,
    text(
        "What a network of your own is shown: imagenet, 0-1, -1-1, bgr-255, or mean=..,std=..  [default: "
        "what its function says]",
        NETWORK,
        metavar="INPUT",
    ),
]
Device = Annotated[
    str,
    text(
        "auto (a GPU if there is one), cpu, cuda, cuda:N or mps.", NETWORK, autocompletion=_complete_devices
    ),
]
BatchSize = Annotated[int, count("Images per forward pass.", NETWORK)]

Seed = Annotated[int, count("Seed of all random draws.", min=0)]
Level = Annotated[float, real("Coverage of the intervals, such as 0.95.", STATISTICS)]
_comparison = text(
    "Of RDMs: rho_a, spearman, pearson, kendall_tau_a, cosine, whitened_pearson, whitened_cosine.", STATISTICS
)
Comparison = Annotated[str, _comparison]
#: None takes what fits the distances of the brain.
ComparisonOrDefault = Annotated[str | None, _comparison]
Permutations = Annotated[int, count("Permutations of labels; 0 for no test.", STATISTICS, min=0)]
Bootstrap = Annotated[int, count("Bootstrap samples.", STATISTICS)]
#: What `--inference` may be.
INFERENCE = (
    "How it is found out how results vary: components (of variance, in closed form), bootstrap, or auto: "
    "components where they have one."
)

Jobs = Annotated[
    int,
    number("How many run at once; -1 for one per core. Results stay the same.", OUTPUT, callback=_count_jobs),
]
Backend = Annotated[
    str | None,
    # Before --jobs, which counts the workers that there are.
    text(
        "Who does them: loky (processes), threading, dask, or dask=ADDRESS of a scheduler.", OUTPUT,
        "--backend", callback=_use_backend, is_eager=True,
    ),
]  # fmt: skip
Overwrite = Annotated[bool, flag("--overwrite", "Replace what is already there.", OUTPUT)]
Json = Annotated[bool, flag("--json", "Print JSON.", OUTPUT)]
NoReport = Annotated[bool, flag("--no-report", "Leave out the figures and the page index.html.", OUTPUT)]
Quiet = Annotated[bool, flag("--quiet", "Show no progress.", OUTPUT)]


def parse_pairs(option: str, texts: list[str], form: str = "NAME=VALUE") -> dict[str, str]:
    """Return ``{name: value}`` of texts such as ``name=value``.

    Raises
    ------
    ValueError
        If a text has another form, or a name gets two values.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise ValueError(f"{option} {text!r} must have the form {form}.")
        if pairs.setdefault(name, value) != value:
            raise ValueError(f"{option} gives {name!r} two values, {pairs[name]!r} and {value!r}.")
    return pairs


def read_selected(path: Path, select: list[str]) -> "StimulusTable":
    """Return the rows of a table that have the value of each ``FACTOR=VALUE``.

    Raises
    ------
    StimulusError, ValueError
        If the table cannot be read, or has no such factor or value.
    """
    from fernet_neuro._utils.validation import check_option
    from fernet_neuro.stimuli.table import StimulusTable

    table = StimulusTable.read(path)
    for name, value in parse_pairs("--select", select).items():
        values = table.factor(name, complete=False).astype(str)
        table = table.select(values == check_option(name, value, sorted(set(values.tolist()))))
    return table


def list_model_options(
    size: int | None, input: str | None, settings: list[str] | None = None
) -> dict[str, Any]:
    """Return the options of a newly built network: those of ``--set``; ``size`` and ``input`` if given."""
    from fernet_neuro._utils.config import read_overrides

    given = {"size": size, "input": input}
    more = read_overrides(settings) if settings else {}
    return {**more, **{key: value for key, value in given.items() if value is not None}}


def parse_weights(texts: list[str]) -> dict[str, list[str]]:
    """Return the columns of each ``NAME=COLUMN,COLUMN,...``."""
    pairs = parse_pairs("--weights", texts, "NAME=COLUMN,COLUMN,..., such as units=AU01,AU02")
    return {name: [column.strip() for column in columns.split(",")] for name, columns in pairs.items()}


def read_landmark_table(path: Path | None) -> "LandmarkTable | None":
    """Return the landmarks of a file, or None where no file is named."""
    from fernet_neuro.faces.landmarks import read_landmarks

    return None if path is None else read_landmarks(path)


def read_texts(source: str | None) -> "TextTable | None":
    """Return the text table of a file, the built-in one, or None where none is named."""
    from fernet_neuro.stimuli.text_table import read_text_table

    return None if source is None else read_text_table(source)
