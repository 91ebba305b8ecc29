"""Representational similarity analysis: RDMs of activations and patterns, models, and inference.

The package is also a function: ``fn.rsa(models, brain)`` calls `fernet_neuro.door.rsa.rsa`.

Examples
--------
>>> import numpy as np, pandas as pd
>>> import fernet_neuro as fn
>>> ids = np.array(list("abcdefg"))
>>> model = fn.RDMSet(np.arange(21.0)[None], ids, pd.DataFrame({"name": ["steps"]}))
>>> noise = np.random.default_rng(0).normal(size=(3, 21))
>>> brain = fn.RDMSet(np.arange(21.0) + noise, ids, pd.DataFrame({"subject": list("xyz")}))
>>> fn.rsa(model, brain, n_bootstraps=50, n_permutations=50).models
['steps']
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """A package that can be called, since the function and its rooms share one name."""

    def __call__(self, *models_and_brain: Any, **options: Any) -> Any:
        """Call `fernet_neuro.door.rsa.rsa`, which is on a higher floor and therefore loaded by name."""
        return import_module("fernet_neuro.door.rsa").rsa(*models_and_brain, **options)


sys.modules[__name__].__class__ = _Callable
