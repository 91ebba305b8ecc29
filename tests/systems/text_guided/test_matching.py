"""People found again by the neutral form of their faces, beside twins and pixels."""

import numpy as np
import pandas as pd
import pytest

from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.store import write_store
from fernet_neuro.exceptions import AlignmentError, StimulusError
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.text_guided.matching import _find_all, _judge, _plan, match_neutral

PEOPLE, FELT = 11, ("anger", "fear", "neutral")


@pytest.fixture
def table(tmp_path, noise_table):
    """Eleven people with three expressions; the second anger of one makes numbers of faces differ."""
    rows = [(f"{p:02d}-{e}", f"p{p:02d}", e) for p in range(PEOPLE) for e in FELT]
    rows.append(("extra", "p03", "anger"))
    frame = pd.DataFrame(rows, columns=["stimulus_id", "identity", "expression"])
    pictures = noise_table.frame["path"].iloc[np.arange(len(frame)) % len(noise_table)]
    return StimulusTable.from_frame(frame.assign(path=pictures.to_list()), root=tmp_path)


def make_layers(table, seed, leak):
    """A person part, and an expression part that `leak` leaves in the neutral form."""
    rng = np.random.default_rng(seed)
    who = rng.standard_normal((PEOPLE, 23))
    what = {name: 4 * rng.standard_normal(23) for name in FELT}
    what["neutral"] = np.zeros(23)
    codes = [int(name[1:]) for name in table.factor("identity")]
    felt = np.stack([what[name] for name in table.factor("expression")])
    noise = 0.1 * rng.standard_normal((len(table), 23))
    return {"visual": who[codes] + felt + noise, "neutral": who[codes] + leak * felt + noise}


def make_noise(table, rng):
    return {name: rng.standard_normal((len(table), 7)) for name in ("visual", "neutral")}


def keep(table, place, layers):
    made = [Activations(values, table.stimulus_ids, name) for name, values in layers.items()]
    return write_store(place, table, made)


def judge(table, layers, twins=(), n_permutations=99, seed=0):
    task = _plan(table, "neutral")
    found, *others = (_find_all(task, item) for item in (layers, *twins))
    return pd.DataFrame(_judge(found, others, found["visual"], n_permutations, seed))


def test_numbers_are_those_of_full_precision_where_the_layer_is_stored_in_half(table):
    # A row's squares, 23 times 10^6, pass the largest number of half precision.
    layers = {
        name: (1000 * values).astype(np.float16) for name, values in make_layers(table, 3, leak=0.5).items()
    }
    exact = {name: values.astype(float) for name, values in layers.items()}
    pd.testing.assert_frame_equal(judge(table, layers), judge(table, exact))


def test_a_transformation_that_takes_the_expression_away_finds_the_person(table, tmp_path):
    store = keep(table, tmp_path / "store", make_layers(table, 0, leak=0.0))
    rng = np.random.default_rng(1)
    twins = [keep(table, tmp_path / f"twin{n}", make_noise(table, rng)) for n in range(10)]
    result = match_neutral(store, untrained=twins, n_permutations=200)
    found = result.frame.set_index(["source", "layer"])
    assert found.index.tolist() == [
        ("network", "visual"), ("network", "neutral"), ("untrained", "visual"), ("untrained", "neutral"),
        ("pixels", "pixels"),
    ]  # fmt: skip
    neutral = found.loc["network", "neutral"]
    assert neutral["accuracy"] == 1.0
    assert neutral["low"] == pytest.approx(0.025 ** (1 / PEOPLE))  # exact for eleven of eleven
    assert neutral["n_found"] == PEOPLE
    assert neutral["p_value"] == pytest.approx(1 / 201)
    assert found.loc[("network", "visual"), "accuracy"] < 0.6
    assert neutral["difference_visual"] > 0.4
    assert neutral["difference_visual_p"] < 0.01
    assert neutral["difference_untrained_p"] < 0.001
    assert neutral["difference_pixels_p"] < 0.01
    assert found.loc[("untrained", "neutral"), "accuracy"] == pytest.approx(1 / PEOPLE, abs=0.1)
    assert (found["n_people"] == PEOPLE).all()
    assert (found["n_images"] == 2 * PEOPLE + 1).all()
    assert "neutral 100.0 %" in result.describe()


def test_accuracy_equals_a_loop_over_people(table):
    layers = make_layers(table, 1, leak=0.5)
    layers["neutral"] = layers["neutral"] + 1.0  # so that a gallery of this layer would find others
    who, felt = table.factor("identity"), table.factor("expression")
    gallery = {who[i]: layers["visual"][i] for i in np.flatnonzero(felt == "neutral")}
    right = {}
    for i in np.flatnonzero(felt != "neutral"):
        face = layers["neutral"][i]
        cosines = {name: face @ g / np.sqrt((face @ face) * (g @ g)) for name, g in gallery.items()}
        right.setdefault(who[i], []).append(max(cosines, key=cosines.get) == who[i])
    wanted = np.mean([np.mean(item) for item in right.values()])
    assert 0.2 < wanted < 1
    assert judge(table, layers)["accuracy"].iloc[1] == pytest.approx(wanted)


@pytest.mark.slow
def test_unrelated_features_find_people_at_chance_and_tests_keep_their_rate(table):
    """The network is one more draw of what its twins are, so that no test has anything to find."""
    rng = np.random.default_rng(5)
    rows = []
    for number in range(300):
        made = [make_noise(table, rng) for _ in range(6)]
        rows.append(judge(table, made[0], made[1:], seed=number).iloc[1])
    found = pd.DataFrame(rows)
    assert found["accuracy"].mean() == pytest.approx(1 / PEOPLE, abs=0.02)
    assert found["p_value"].mean() > 0.45  # ties count, so that it lies above a half
    for name in ("p_value", "difference_untrained_p", "difference_visual_p"):
        assert np.mean(found[name] <= 0.05) <= 0.085, name  # binomial 99.5 % limit of 300 at .05


def test_neutral_forms_that_are_all_alike_find_one_person(table):
    layers = make_layers(table, 2, leak=0.0)
    layers["neutral"] = np.ones_like(layers["neutral"]) + 1e-6 * layers["neutral"]
    row = judge(table, layers).iloc[1]
    assert (row["n_found"], row["p_value"]) == (1, 1.0)
    assert row["accuracy"] == pytest.approx(1 / PEOPLE)


def test_what_cannot_be_matched_is_refused(table, tmp_path):
    store = keep(table, tmp_path / "store", make_layers(table, 0, 0.0))
    with pytest.raises(StimulusError, match="three people or more"):
        match_neutral(store, neutral="happiness")
    with pytest.raises(AlignmentError, match="the table has"):
        match_neutral(store, table[:-1])
    with pytest.raises(ValueError, match="one untrained twin says nothing"):
        match_neutral(store, untrained=[store])
    with pytest.raises(ValueError, match="needs pictures to see"):
        match_neutral("e2n-resnet10-slim")
