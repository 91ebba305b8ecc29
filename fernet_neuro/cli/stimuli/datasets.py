"""``fernet-neuro stimuli import`` and ``join``: stimulus tables of photographs, and several data sets in one.

What belongs here: options and messages; the work is in `fernet_neuro.stimuli`.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._outputs import check_out_files
from fernet_neuro.cli.stimuli._common import (
    describe_table,
    is_left_out,
    show_list,
    show_report,
)

_FOLDER, _OTHERS = "Options of the layout folder", "Options of other layouts"
#: Options that are not called like the parameters of the readers.
_FLAGS = {"columns": "column", "list_file": "list", "codes": "code", "folders_are": "folders-are"}


def import_stimuli(
    dataset: Annotated[
        str,
        opt.argument(
            "folder, kdef, lfw, vggface2, celeba, rafdb, affectnet, fer2013, ferplus, ckplus or fedro.",
            "LAYOUT",
        ),
    ],
    src: Annotated[Path, opt.argument("Folder as its owners distribute it.", "DIR")],
    out: Annotated[Path, opt.table("Table to write, .csv or .parquet.")],
    pattern: Annotated[
        str | None, opt.text("Labels in file names, such as '{identity}_{expression}'.", _FOLDER)
    ] = None,
    csv: Annotated[
        Path | None, opt.text("Table with a row per picture; its columns are kept.", _FOLDER)
    ] = None,
    column: opt.Columns = [],
    folders_are: Annotated[
        str | None, opt.text("Factor that class folders stand for.  [default: expression]", _FOLDER)
    ] = None,
    images: Annotated[
        str | None, opt.text("rafdb: aligned or original pictures.  [default: aligned]", _OTHERS)
    ] = None,
    classes: Annotated[
        int | None, opt.count("affectnet: 8, or 7 without contempt.  [default: 8]", _OTHERS, min=7, max=8)
    ] = None,
    pictures: Annotated[
        Path | None,
        opt.folder("fer2013, ferplus: where to write the pictures of fer2013.csv, once.", _OTHERS),
    ] = None,
    rule: Annotated[
        str | None,
        opt.text("ferplus: majority, most or emotions makes a label of votes.  [default: majority]", _OTHERS),
    ] = None,
    labels: Annotated[
        str | None,
        opt.text("ferplus: votes of fer2013new.csv or label.csv.  [default: fer2013new.csv]", _OTHERS),
    ] = None,
    frames: Annotated[
        int | None, opt.count("ckplus: last frames that show a sequence's emotion.  [default: 3]", _OTHERS)
    ] = None,
    neutral: Annotated[
        bool | None,
        opt.text(
            "ckplus: first frames as neutral.  [default: --neutral]",
            _OTHERS,
            "--neutral/--no-neutral",
            metavar="",
        ),
    ] = None,
    list_file: Annotated[
        Path | None, opt.file("fedro: lines of a path and a label, instead of folders.", _OTHERS, "--list")
    ] = None,
    code: Annotated[
        list[str], opt.text("fedro: what a number means; repeat for more.", _OTHERS, metavar="CODE=NAME")
    ] = [],
    verify: Annotated[
        bool | None,
        opt.text(
            "Decode all pictures and leave faulty ones out.  [default: unless the set is large]",
            None,
            "--verify/--no-verify",
            metavar="",
        ),
    ] = None,
    jobs: opt.Jobs = 2,
    overwrite: opt.Overwrite = False,
    quiet: opt.Quiet = False,
) -> None:
    r"""Write a stimulus table from photographs in their owner's layout.

    Faulty files are left out and reported, never guessed at; the full list is written beside the table, as
    faces.left_out.csv beside faces.csv.

    Examples
    --------
        # photos/happiness/001.jpg
        fernet-neuro stimuli import folder photos --out faces.csv
        fernet-neuro stimuli import folder photos \
            --pattern '{identity}_{expression}' --out faces.csv
        fernet-neuro stimuli import folder photos --csv labels.csv \
            --column identity=person --out faces.csv
        fernet-neuro stimuli import kdef KDEF_and_AKDEF --out kdef.csv
        fernet-neuro stimuli import affectnet AffectNet --classes 7 --out an7.csv
        fernet-neuro stimuli import ferplus FERPlus --pictures fer --out fp.csv
        fernet-neuro stimuli import ckplus CK+ --out ckplus.csv
    """
    from fernet_neuro._utils.validation import check_option
    from fernet_neuro.stimuli.datasets.registry import DATASETS
    from fernet_neuro.stimuli.table import check_table_suffix

    check_table_suffix(out)
    entry = DATASETS[check_option("dataset", dataset, DATASETS)]
    given = {
        "pattern": pattern, "csv": csv, "folders_are": folders_are, "images": images, "classes": classes,
        "columns": opt.parse_pairs("--column", column) or None, "list_file": list_file,
        "codes": opt.parse_pairs("--code", code) or None, "pictures": pictures, "rule": rule,
        "labels": labels, "frames": frames, "neutral": neutral,
    }  # fmt: skip
    own = {name: value for name, value in given.items() if value is not None}
    _check_own_options(dataset, own)
    from fernet_neuro.stimuli.datasets.report import left_out_path

    own_list = is_left_out(left_out_path(out))  # of an import that was interrupted before its last file
    check_out_files([out, *([] if own_list else [left_out_path(out)])], [csv, list_file], overwrite=overwrite)
    verified = entry.verify if verify is None else verify
    report = entry.read(src, **own, verify=verified, n_jobs=jobs, verbose=not quiet)
    report.write_left_out(out)
    report.table.write(out)  # last: where it lies, all is there
    show_report(report, out)


def join(
    tables: Annotated[list[Path], opt.argument("Two or more stimulus tables.", "TABLE...")],
    out: Annotated[Path, opt.table("Table to write, .csv or .parquet.")],
    factor: Annotated[str, opt.text("Factor whose labels are matched by name.")] = "expression",
    renames: Annotated[
        list[str],
        opt.text("Rename a label in all tables; repeat for more.", None, "--map", metavar="OLD=NEW"),
    ] = [],
    drop: Annotated[list[str], opt.text("Leave out the stimuli with this label; repeat for more.")] = [],
    keep_all: Annotated[
        bool, opt.flag("--keep-all", "Keep labels that only some of the data sets have.")
    ] = False,
    name: Annotated[
        list[str],
        opt.text(
            "Name of a data set, once per table in their order, unless a column 'dataset' says it.  "
            "[default: the file's name; of a table.csv its folder's]"
        ),
    ] = [],
    overwrite: opt.Overwrite = False,
) -> None:
    r"""Join data sets by the names of their labels, never by numbers.

    Stimulus ids and identities are prefixed by the data set, which the column 'dataset' names. Labels that
    are spelled differently, or that only one set has, are refused until you say what to do with them.

    Examples
    --------
        fernet-neuro stimuli join rafdb.csv affectnet.csv --drop contempt \
            --out joint.csv
        fernet-neuro stimuli join mine.csv rafdb.csv --map smiling=happiness \
            --keep-all --out joint.csv
    """
    from fernet_neuro.stimuli.join import join_tables, name_tables
    from fernet_neuro.stimuli.table import StimulusTable, check_table_suffix

    check_table_suffix(out)
    # Rendered faces are all called table.csv; their folder says which they are.
    names = name or [path.resolve().parent.name if path.stem == "table" else path.stem for path in tables]
    if len(names) != len(tables):
        raise ValueError(f"--name must be given once per table; got {len(names)} for {len(tables)} tables.")
    check_out_files([out], tables, overwrite=overwrite)
    joint = join_tables(
        name_tables([StimulusTable.read(path) for path in tables], names),
        factor=factor,
        renames=opt.parse_pairs("--map", renames),
        drop=drop,
        keep_all=keep_all,
    )
    joint.write(out)
    typer.echo(f"{out}: {describe_table(joint)}.")
    counts = Counter(joint.factor("dataset").tolist())
    show_list((f"{dataset}: {count} stimuli" for dataset, count in counts.items()), most=None)


def _check_own_options(dataset: str, given: Iterable[str]) -> None:
    """Raise if an option is given that belongs to other layouts."""
    from fernet_neuro.stimuli.datasets.registry import DATASETS

    for name in given:
        if name not in DATASETS[dataset].options:
            owners = ", ".join(repr(key) for key, entry in DATASETS.items() if name in entry.options)
            raise ValueError(
                f"--{_FLAGS.get(name, name)} belongs to the layout {owners}; {dataset!r} has no such option."
            )
