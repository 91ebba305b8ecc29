"""How expressions are said in prompts: words, articles and templates.

What belongs here: wording only, light to import; what embeds it is in `encoders`.
"""

from collections.abc import Mapping, Sequence

from fernet_neuro._utils.validation import check_option, format_options
from fernet_neuro.stimuli.expressions import EXPRESSION_NAMES

PROMPT = "a photo of a person making {a} {emotion} facial expression."
#: How each class is said in a prompt, by the name of the wording.
WORDINGS: dict[str, dict[str, str]] = {
    "nouns": {name: name for name in EXPRESSION_NAMES},
    "adjectives": dict(
        zip(
            EXPRESSION_NAMES,
            ("angry", "contemptuous", "disgusted", "fearful", "happy", "neutral", "sad", "surprised"),
            strict=True,
        )
    ),
    "kdef": {
        "fear": "afraid", "anger": "angry", "disgust": "disgusted", "happiness": "happy",
        "neutral": "neutral", "sadness": "sad", "surprise": "surprised",
    },
    "german": dict(
        zip(
            EXPRESSION_NAMES,
            ("Wut", "Verachtung", "Ekel", "Angst", "Freude", "Neutralität", "Trauer", "Überraschung"),
            strict=True,
        )
    ),
    "french": dict(
        zip(
            EXPRESSION_NAMES,
            ("colère", "mépris", "dégoût", "peur", "joie", "neutre", "tristesse", "surprise"),
            strict=True,
        )
    ),
}  # fmt: skip


def write_prompts(
    classes: Sequence[str], templates: Sequence[str] = (PROMPT,), words: Mapping[str, str] | None = None
) -> tuple[tuple[str, ...], ...]:
    """Return the sentences of each class.

    Parameters
    ----------
    classes : sequence of str
    templates : sequence of str
        With ``{emotion}`` for the class's word and, where wanted, ``{a}`` for its article.
    words : mapping of str to str, optional
        How each class is said; its own name by default. `WORDINGS` has some.

    Raises
    ------
    ValueError
        If a template has no ``{emotion}`` or another field, or a class has no word.

    Examples
    --------
    >>> write_prompts(["anger", "fear"], ["{a} {emotion} face"])
    (('an anger face',), ('a fear face',))
    """
    words = {name: name for name in classes} if words is None else words
    if missing := [name for name in classes if name not in words]:
        raise ValueError(f"no word for class {missing[0]!r}; words are given for {format_options(words)}.")
    for template in templates:
        _check_template(template)
    return tuple(
        tuple(template.format(a=_find_article(words[name]), emotion=words[name]) for template in templates)
        for name in classes
    )


def find_wording(name: str) -> dict[str, str]:
    """Return the words of `WORDINGS` under this name, or raise a ValueError with the names."""
    return WORDINGS[check_option("wording", name, WORDINGS)]


def _check_template(template: str) -> None:
    try:
        template.format(a="", emotion="")
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(
            f"prompt {template!r} may hold {{a}} and {{emotion}} and no other braces ({error})."
        ) from None
    if "{emotion}" not in template:
        raise ValueError(f"prompt {template!r} has no {{emotion}}; give one such as {PROMPT!r}.")


def _find_article(word: str) -> str:
    return "an" if word[:1].casefold() in "aeiou" else "a"
