"""People found again by the neutral form of their faces."""

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.activations.array import Activations
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.text_guided.analysis import match_neutral

PEOPLE, FELT = 11, ("anger", "fear", "neutral")


@pytest.fixture
def table(tmp_path):
    rows = [(f"{p:02d}-{e}", "x.png", f"p{p:02d}", e) for p in range(PEOPLE) for e in FELT]
    frame = pd.DataFrame(rows, columns=["stimulus_id", "path", "identity", "expression"])
    return StimulusTable.from_frame(frame, root=tmp_path)


def make_layers(table, seed, leak):
    """A person part, and an expression part that `leak` leaves in the neutral form."""
    rng = np.random.default_rng(seed)
    who = rng.standard_normal((PEOPLE, 23))
    what = {name: 4 * rng.standard_normal(23) for name in FELT}
    what["neutral"] = np.zeros(23)
    codes = [int(name[1:]) for name in table.factor("identity")]
    felt = np.stack([what[name] for name in table.factor("expression")])
    noise = 0.1 * rng.standard_normal((len(table), 23))
    visual = who[codes] + felt + noise
    ids = table.stimulus_ids
    return {
        "visual": Activations(visual, ids, "visual"),
        "neutral": Activations(who[codes] + leak * felt + noise, ids, "neutral"),
    }


def test_a_transformation_that_takes_the_expression_away_finds_the_person(table):
    found = match_neutral(make_layers(table, 0, leak=0.0), table, n_permutations=200).frame.set_index("layer")
    assert found.loc["neutral", "accuracy"] == 1.0
    assert found.loc["visual", "accuracy"] < 0.6
    assert found.loc["neutral", "p_value"] == pytest.approx(1 / 201)
    assert found.loc["neutral", "chance"] == pytest.approx(1 / PEOPLE)
    assert (found["n_people"] == PEOPLE).all()
    assert (found["n_images"] == 2 * PEOPLE).all()


def test_accuracy_equals_a_loop_over_faces(table):
    layers = make_layers(table, 1, leak=0.5)
    who, felt = table.factor("identity"), table.factor("expression")
    gallery = {who[i]: layers["visual"].values[i] for i in np.flatnonzero(felt == "neutral")}
    right = []
    for i in np.flatnonzero(felt != "neutral"):
        face = layers["neutral"].values[i]
        cosines = {name: face @ g / np.sqrt((face @ face) * (g @ g)) for name, g in gallery.items()}
        right.append(max(cosines, key=cosines.get) == who[i])
    found = match_neutral(layers, table, n_permutations=2).frame.set_index("layer")
    assert found.loc["neutral", "accuracy"] == pytest.approx(np.mean(right))


def test_unrelated_features_find_people_at_chance_and_tests_keep_their_rate(table):
    rng = np.random.default_rng(5)
    values = []
    for _ in range(200):
        noise = {
            name: Activations(rng.standard_normal((len(table), 7)), table.stimulus_ids, name)
            for name in ("visual", "neutral")
        }
        row = match_neutral(noise, table, n_permutations=99, n_bootstraps=2).frame.iloc[1]
        values.append((row.accuracy, row.p_value))
    accuracy, p_values = np.array(values).T
    assert accuracy.mean() == pytest.approx(1 / PEOPLE, abs=0.02)
    assert np.mean(p_values <= 0.05) <= 0.095  # binomial 99 % limit of 200 at .05


def test_too_few_people_and_a_missing_gallery_are_refused(table):
    layers = make_layers(table, 0, 0.0)
    with pytest.raises(ValueError, match="layer 'visual'"):
        match_neutral({"neutral": layers["neutral"]}, table)
    with pytest.raises(StimulusError, match="three people or more"):
        match_neutral(layers, table, neutral="happiness")
