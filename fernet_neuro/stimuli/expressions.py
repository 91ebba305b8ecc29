"""Names of facial expressions: the eight that data sets are mapped to, and how their owners spell them.

What belongs here: labels as words; the codes of a data set stand in its own file.
"""

#: The names that every adapter gives, in the order that classes have everywhere.
EXPRESSION_NAMES = ("anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")

# Forms of the same word only, and KDEF's "afraid": whether joy is happiness is for the user to say.
_SPELLINGS = {
    "angry": "anger",
    "contemptuous": "contempt",
    "disgusted": "disgust",
    "afraid": "fear",
    "fearful": "fear",
    "happy": "happiness",
    "neutrality": "neutral",
    "sad": "sadness",
    "surprised": "surprise",
}


def find_expression(word: str) -> str | None:
    """Return our name for the expression that `word` spells in lower or upper case, or None.

    Examples
    --------
    >>> find_expression("Happy"), find_expression("fear"), find_expression("joy")
    ('happiness', 'fear', None)
    """
    plain = word.strip().casefold()
    return plain if plain in EXPRESSION_NAMES else _SPELLINGS.get(plain)
