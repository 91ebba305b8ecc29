"""Type aliases shared by all packages; no code."""

from os import PathLike as _PathLike
from typing import Literal

PathLike = str | _PathLike[str]
ReadOut = Literal["ridge", "lda", "nearest-mean", "logistic", "sgd"]
Holdout = Literal["identity", "view", "expression", "session", "random", "kdef10"]
