import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.spatial.distance import pdist
from typer.testing import CliRunner

from fernet_neuro.brain.patterns import BrainPatterns
from fernet_neuro.cli.app import app
from fernet_neuro.exceptions import AlignmentError, FernetError
from fernet_neuro.rsa.models.factors import build_factor_rdm
from fernet_neuro.rsa.models.shares import COLUMNS, estimate_shares
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.stats.resampling import clopper_pearson
from fernet_neuro.stimuli.table import StimulusTable

IDS = [f"s{number:02d}" for number in range(12)]
N_SUBJECTS = 7


@pytest.fixture
def factors() -> RDMSet:
    labels = np.arange(12)
    who, what = (np.sign(pdist((labels % count)[:, None].astype(float))) for count in (4, 3))
    grey = pdist(np.random.default_rng(0).normal(size=(12, 5))) ** 2
    return RDMSet(np.stack([who, what, grey]), IDS, pd.DataFrame({"model": ["who", "what", "grey"]}))


def make_brain(vectors: np.ndarray, **columns) -> RDMSet:
    table = pd.DataFrame({"subject": [f"{number:02d}" for number in range(len(vectors))], **columns})
    return RDMSet(vectors, IDS, table)


def mix(factors: RDMSet, shares: list[float], constant: float = 0.0) -> np.ndarray:
    scaled = factors.dissimilarities / factors.dissimilarities.mean(axis=1, keepdims=True)
    return np.asarray(shares) @ scaled + constant


def test_shares_of_a_sum_are_found_whatever_the_scale_and_the_constant(factors):
    one, other = mix(factors, [0.5, 0.2, 0.3], 0.25), mix(factors, [0.0, 0.0, 1.0])
    brain = make_brain(np.stack([3 * one, 3 * one, 7 * other]), roi=["OFA", "OFA", "EVC"], n_voxels=[5, 5, 9])
    found = estimate_shares(brain, factors)
    assert list(found.columns) == list(COLUMNS)
    ofa, evc = (found[found["roi"] == roi].set_index("factor") for roi in ("OFA", "EVC"))
    assert ofa["share"].to_dict() == pytest.approx({"who": 0.5, "what": 0.2, "grey": 0.3})
    assert evc["share"].to_dict() == pytest.approx({"who": 0.0, "what": 0.0, "grey": 1.0}, abs=1e-9)
    assert ofa["constant"].iloc[0] == pytest.approx(0.25 / 1.25)
    assert ofa["weight"].to_dict() == pytest.approx({"who": 1.5, "what": 0.6, "grey": 0.9})
    assert ofa["n_subjects"].tolist() == [2] * 3
    assert evc[["low", "high", "p_value"]].isna().all(axis=None)


def test_weights_and_p_values_are_those_of_a_regression_and_a_t_test(factors, rng):
    vectors = mix(factors, [0.6, 0.0, 0.4]) + rng.normal(0, 0.4, (N_SUBJECTS, 66))
    found = estimate_shares(make_brain(vectors), factors).set_index("factor")
    design = np.column_stack([*factors.dissimilarities, np.ones(66)])
    slopes = np.linalg.solve(design.T @ design, design.T @ vectors.T)[:-1].T
    slopes *= factors.dissimilarities.mean(axis=1)
    np.testing.assert_allclose(found["weight"], slopes.mean(axis=0))
    wanted = stats.ttest_1samp(slopes, 0, alternative="greater").pvalue
    np.testing.assert_allclose(found["p_value"], wanted)
    assert found["share"].sum() == pytest.approx(1)
    np.testing.assert_allclose(found["unconstrained"], slopes.mean(axis=0) / slopes.mean(axis=0).sum())
    assert (found["low"] < found["unconstrained"]).all()
    assert (found["unconstrained"] < found["high"]).all()


def test_sessions_of_a_subject_count_as_one_and_the_order_of_rdms_does_not(factors, rng):
    vectors = mix(factors, [0.6, 0.1, 0.3]) + rng.normal(0, 0.2, (8, 66))
    subjects = [f"p{number // 2}" for number in range(8)]
    table = pd.DataFrame({"subject": subjects, "session": [1, 2] * 4})
    found = estimate_shares(RDMSet(vectors, IDS, table), factors)
    means = make_brain(vectors.reshape(4, 2, 66).mean(axis=1))
    pd.testing.assert_frame_equal(found, estimate_shares(means, factors))
    order = rng.permutation(8)
    shuffled = RDMSet(vectors[order], IDS, table.iloc[order])
    pd.testing.assert_frame_equal(found, estimate_shares(shuffled, factors))


def test_a_pair_that_one_lacks_is_left_out_for_all(factors, rng):
    vectors = mix(factors, [0.6, 0.1, 0.3]) + rng.normal(0, 0.2, (4, 66))
    vectors[2, 5] = np.nan
    other = vectors.copy()
    other[:, 5] = [9e3, -4, np.nan, 0]
    pd.testing.assert_frame_equal(
        estimate_shares(make_brain(vectors), factors), estimate_shares(make_brain(other), factors)
    )


def test_without_any_signal_there_are_no_shares(factors):
    found = estimate_shares(make_brain(-np.ones((3, 66)) + mix(factors, [-0.1, -0.2, -0.3])), factors)
    assert found["share"].isna().all()
    assert found[["unconstrained", "low"]].isna().all(axis=None)


@pytest.mark.slow
def test_intervals_cover_and_absent_factors_are_found_as_often_as_the_level_says(factors):
    """200 groups of subjects with geometries of their own: coverage of 95 %, false positives of 5 %."""
    planted, n_groups = np.array([0.7, 0.0, 0.3]), 200
    rng = np.random.default_rng(1)
    covered, rejected = np.zeros(3), np.zeros(3)
    for _ in range(n_groups):
        own = np.stack([pdist(rng.normal(size=(12, 4))) ** 2 for _ in range(N_SUBJECTS)])
        noise = rng.normal(0, 0.5, own.shape)
        vectors = mix(factors, list(planted)) + 0.4 * own / own.mean() + noise
        found = estimate_shares(make_brain(vectors), factors)
        covered += (found["low"] <= planted) & (planted <= found["high"])
        rejected += found["p_value"] < 0.05
    low, high = clopper_pearson(round(0.95 * n_groups), n_groups, 0.99)
    assert (covered / n_groups >= low - 0.01).all()
    assert (covered / n_groups <= high).all()
    assert rejected[1] / n_groups <= clopper_pearson(round(0.05 * n_groups), n_groups, 0.99)[1]
    assert rejected[0] == n_groups
    assert rejected[2] / n_groups > 0.8


def test_what_cannot_be_told_apart_is_refused(factors):
    brain = make_brain(np.stack([mix(factors, [1, 0, 0])] * 2))
    both = np.vstack([factors.dissimilarities, factors.dissimilarities[:2].sum(axis=0)])
    names = pd.DataFrame({"model": ["who", "what", "grey", "sum"]})
    with pytest.raises(
        ValueError, match=r"'sum' is a weighted sum of a constant and those before it \(who, "
    ):
        estimate_shares(brain, RDMSet(both, IDS, names))
    with pytest.raises(ValueError, match=r"'flat' is a weighted sum of a constant"):
        estimate_shares(brain, RDMSet(np.ones((1, 66)), IDS, pd.DataFrame({"model": ["flat"]})))
    with pytest.raises(ValueError, match="need a column 'subject'"):
        estimate_shares(RDMSet(brain.dissimilarities, IDS), factors)
    with pytest.raises(AlignmentError, match="the brain's RDMs and the factors"):
        estimate_shares(brain, factors.align_to(IDS[::-1]))
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        estimate_shares(brain, factors, level=1.0)
    few = IDS[:3]
    with pytest.raises(ValueError, match="3 pairs of stimuli are present in all RDMs; 3 factors need more"):
        estimate_shares(brain.align_to(few), factors.align_to(few))


def run_command(*words: object):
    result = CliRunner().invoke(app, ["brain", "shares", *map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_the_command_reads_patterns_or_rdms_in_any_order_of_stimuli(tmp_path, rng):
    rows = [
        {"stimulus_id": name, "path": f"{name}.png", "identity": f"id{at % 4}", "expression": f"face{at % 3}"}
        for at, name in enumerate(IDS)
    ]
    table = StimulusTable.from_frame(pd.DataFrame(rows))
    table.write(tmp_path / "faces.csv")
    projection = {name: rng.normal(size=(4, 300)) for name in ("01", "02")}
    for subject, weights in projection.items():
        order = np.concatenate([rng.permutation(12) for _ in range(2)])
        values = weights[order % 4] + 0.1 * rng.normal(size=(24, 300))
        ids, runs = [IDS[at] for at in order], ["1"] * 12 + ["2"] * 12
        item = BrainPatterns(values, ids, runs, "FFA", subject)
        item.save(tmp_path / "patterns" / f"sub-{subject}_roi-FFA_patterns.npz")
    words = ("--stimuli", tmp_path / "faces.csv", "--factor", "identity", "--factor", "expression", "--json")
    said = json.loads(run_command(tmp_path / "patterns", *words, "--out", tmp_path / "s.csv").stdout)
    assert [row["factor"] for row in said] == ["identity", "expression"]
    assert said[0]["share"] == pytest.approx(1, abs=0.05)
    assert pd.read_csv(tmp_path / "s.csv")["share"].tolist() == [row["share"] for row in said]
    exact = build_factor_rdm(table, "identity").dissimilarities
    labels = pd.DataFrame({"subject": ["01", "02"]})
    RDMSet(np.vstack([exact, exact]), IDS, labels).align_to(IDS[::-1]).save(tmp_path / "brain.npz")
    said = json.loads(run_command(tmp_path / "brain.npz", *words).stdout)
    assert [row["share"] for row in said] == pytest.approx([1.0, 0.0])
    views = StimulusTable.from_frame(pd.DataFrame(rows).assign(view="front"))
    views.write(tmp_path / "views.csv")
    same = ("--stimuli", tmp_path / "views.csv", "--factor", "view", "--json")
    found = run_command(tmp_path / "brain.npz", *same, "--factor", "identity")
    assert found.stderr == "Notice: all stimuli are the same in view; it is left out.\n"
    assert [row["factor"] for row in json.loads(found.stdout)] == ["identity"]
    with pytest.raises(FernetError, match="all 12 stimuli are the same in 'view'"):
        run_command(tmp_path / "brain.npz", *same)
    with pytest.raises(FernetError, match="already there; add --overwrite"):
        run_command(tmp_path / "brain.npz", *words, "--out", tmp_path / "s.csv")
    with pytest.raises(ValueError, match=r"must end in \.csv"):
        run_command(tmp_path / "brain.npz", *words, "--out", tmp_path / "s.txt")
    with pytest.raises(FernetError, match="holds no patterns"):
        (tmp_path / "empty").mkdir()
        run_command(tmp_path / "empty", *words)
