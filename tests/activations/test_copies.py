"""Copies in stores whose pictures are not there: the answers tell."""

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.copies import warn_of_equal_answers
from fernet_neuro.activations.store import write_store
from fernet_neuro.exceptions import FernetWarning
from fernet_neuro.stimuli.table import StimulusTable

N_STIMULI = 6


@pytest.fixture
def make(tmp_path, rng):
    """A store whose fifth stimulus has the answers of its second, but for rounding, in layers of 40 units."""

    def make(n_units=40, **columns):
        names = [f"s{row}" for row in range(N_STIMULI)]
        frame = pd.DataFrame({"stimulus_id": names, "path": [f"{name}.png" for name in names], **columns})
        table = StimulusTable.from_frame(frame, root=tmp_path)
        for row, name in enumerate(names):  # a store cannot be written without pictures, but moved
            (tmp_path / f"{name}.png").write_bytes(bytes([row]))
        values = rng.normal(size=(N_STIMULI, n_units)).astype(np.float32)
        values[4] = values[1] * np.float32(1 + 1e-7)
        store = write_store(tmp_path / "store", table, [Activations(values, table.stimulus_ids, "fc")])
        return store, table

    return make


def test_equal_answers_of_stimuli_without_pictures_are_noted(make, tmp_path):
    store, table = make()
    warn_of_equal_answers(store, table)  # pictures are there, and tell
    for name in ("s1", "s4", "s5"):
        (tmp_path / f"{name}.png").unlink()
    with pytest.warns(FernetWarning, match="1 of 6 stimuli have the same activations .*'s1' and 's4'"):
        warn_of_equal_answers(store, table)
    warn_of_equal_answers(store, table.select([0, 1, 2, 5]))


@pytest.mark.parametrize("options", [{"n_units": 20}, {"digest": list("abcdef")}])
def test_narrow_layers_and_recorded_contents_say_nothing(make, tmp_path, options):
    store, table = make(**options)
    for path in table.paths():
        path.unlink()
    warn_of_equal_answers(store, table)
