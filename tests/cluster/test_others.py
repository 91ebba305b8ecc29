"""Probes, RSA, calibrations and experiments in shards: the numbers of one process."""

import json
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fernet_neuro._utils.tables import read_table
from fernet_neuro.cluster.plan import Plan
from fernet_neuro.experiments.graph import STIMULI
from fernet_neuro.experiments.plan import PlannedRun, list_runs
from fernet_neuro.experiments.results_folder import CLAIMS
from fernet_neuro.experiments.sharing import GoesOnElsewhereError, Sharing
from fernet_neuro.extraction.extract import extract_activations
from fernet_neuro.models.resolve import resolve_model
from fernet_neuro.probes.result import ProbeReport, join_layers
from fernet_neuro.rsa.analysis.calibration import P_VALUE_COLUMNS
from fernet_neuro.rsa.analysis.join import join_regions
from fernet_neuro.rsa.analysis.run import RSAFolder
from fernet_neuro.rsa.rdms import RDMSet
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.folder import RunFolder

pytestmark = pytest.mark.slow

PROBE = (
    "probe", "whole", "--all-layers", "--folds", "5", "--permutations", "19",
    "--untrained", "twin", "--no-report",
)  # fmt: skip


@pytest.fixture(scope="module")
def probed(run, drawn_faces, tmp_path_factory):
    """A folder with the stores ``whole`` and ``twin`` of three layers, and the probe ``expression``."""
    folder = tmp_path_factory.mktemp("probes")
    for name, seed in (("whole", 0), ("twin", 5)):
        network = resolve_model("resnet10-slim", size=32, seed=seed)
        extract_activations(network, drawn_faces, ["layer1", "layer3", "layer4"], folder / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run(*PROBE, "--target", "expression", "--out", "expression")[0] == 0
    return folder


@pytest.mark.parametrize(("n_shards", "target"), [(2, "expression"), (3, "expression"), (2, "valence")])
def test_p_values_of_a_probe_do_not_depend_on_the_number_of_shards(
    probed, submit, carry_out, run, monkeypatch, n_shards, target
):
    monkeypatch.chdir(probed)
    probe, out = (*PROBE, "--target", target), f"{target}-{n_shards}"
    if target == "valence":
        assert run(*probe, "--out", target)[0] == 0
    assert submit("--shards", n_shards, "--script", command=(*probe, "--out", out))[0] == 0
    shards = Plan.read(out).shards
    assert len(shards) == n_shards
    assert carry_out(out) == 0
    joint, whole = join_layers([ProbeReport.load(shard.result) for shard in shards]), ProbeReport.load(target)
    assert joint == whole
    assert joint.frame["p_value_max"].notna().any()
    assert len(joint.predictions) == len(whole.predictions)
    assert (len(joint.predictions) > 0) == (target == "valence")
    if n_shards == 2:
        assert run("merge", out)[0] == 0
        assert ProbeReport.load(out) == whole
        assert Path(out, "index.html").is_file()


def test_parts_of_other_probes_are_not_joined(probed, run, monkeypatch):
    from fernet_neuro.exceptions import AlignmentError

    monkeypatch.chdir(probed)
    for name, seed in (("one", 0), ("two", 1)):
        run(*PROBE[:2], "--layer", "layer1", "--folds", "5", "--seed", seed, "--no-controls",
            "--permutations", "9", "--no-report", "--out", name)  # fmt: skip
    with pytest.raises(AlignmentError, match="differ in 'seed'"):
        join_layers([ProbeReport.load("one"), ProbeReport.load("two")])


def test_networks_are_extracted_first(faces, submit):
    code, _, said = submit("--script", command=("probe", "resnet10-slim", "--stimuli", "faces.csv",
                                                "--all-layers", "--out", "parts"))  # fmt: skip
    assert code == 2
    assert "extract it first" in said


RSA = (
    "rsa", "--models", "models.npz", "--brain", "brain.npz", "--bootstrap", "50", "--permutations", "49",
    "--no-report",
)  # fmt: skip


@pytest.fixture(scope="module")
def analysed(run, tmp_path_factory):
    """A folder with RDMs of 8 stimuli, two models and 3 regions x 5 subjects; and what they give."""
    folder, rng = tmp_path_factory.mktemp("analyses"), np.random.default_rng(20200501)
    ids = np.array(list("abcdefgh"))
    models = rng.random((2, 28))
    RDMSet(models, ids, pd.DataFrame({"name": ["near", "far"]})).save(folder / "models.npz")
    rows = [(roi, subject) for roi in ("STS", "FFA", "OFA") for subject in "vwxyz"]
    brain = models[rng.integers(2, size=len(rows))] + rng.random((len(rows), 28))
    RDMSet(brain, ids, pd.DataFrame(rows, columns=["roi", "subject"])).save(folder / "brain.npz")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run(*RSA, "--out", "at_once")[0] == 0
    return folder


@pytest.fixture
def rdms(analysed, monkeypatch):
    """Work where the analysis is."""
    monkeypatch.chdir(analysed)


@pytest.mark.parametrize("n_shards", [2, 3])
def test_an_rsa_does_not_depend_on_the_number_of_shards(rdms, submit, carry_out, run, n_shards):
    out = f"parts-{n_shards}"
    assert submit("--shards", n_shards, "--script", command=(*RSA, "--out", out))[0] == 0
    assert carry_out(out) == 0
    shards = Plan.read(out).shards
    assert len(shards) == n_shards
    joint, whole = join_regions([RSAFolder.load(shard.result) for shard in shards]), RSAFolder.load("at_once")
    if n_shards == 2:
        assert run("merge", out)[0] == 0
        joint = RSAFolder.load(out)
    assert joint.result == whole.result
    assert joint.result.rois == ["STS", "FFA", "OFA"]
    assert (joint.models, joint.brain) == (whole.models, whole.brain)


def test_rates_do_not_depend_on_the_number_of_shards_and_no_data_set_is_overlooked(
    rdms, submit, carry_out, run
):
    from fernet_neuro.door.calibrate import calibrate

    assert run(*RSA, "--roi", "FFA", "--out", "analysis")[0] == 0
    command = ("calibrate", "--like", "analysis", "--datasets", "20", "--seed", "3")
    run(*command, "--out", "whole.json")
    assert submit("--shards", 2, "--script", command=(*command, "--out", "parts.json"))[0] == 0
    shards = Plan.read("parts.json").shards
    assert len(shards) == 2
    assert carry_out("parts.json") == 0
    assert run("merge", "parts.json")[0] == 0
    assert Path("parts.json").read_text() == Path("whole.json").read_text()
    part = read_table(Path(shards[1].result), P_VALUE_COLUMNS)
    assert set(part["dataset"]) == set(range(10, 20))
    assert "pairwise" in set(part["table"])
    with pytest.raises(ValueError, match="of 10 data sets, not of all 20"):
        calibrate("analysis", 20, p_values=part)


def test_data_sets_too_few_for_two_shards_are_one(rdms, submit):
    command = ("calibrate", "--like", "at_once", "--datasets", "19", "--out", "few.json")
    assert submit("--shards", 2, "--script", command=command)[0] == 0
    assert [shard.about for shard in Plan.read("few.json").shards] == ["data sets 0:19"]


EXPERIMENT = """
experiment: grid
title: A small grid
stimuli:
  {identities: 4, expressions: [anger, happiness, neutral], views: 1, sessions: 2, size: 24, seed: 3}
tests:
  people: {of: stimuli, label: new people, change: {identities: 3, first_identity: 100}}
networks:
  identity: {task: identification, epochs: 1, batch_size: 12, model_options: {size: 24}, seed: 4}
  expression:
    {task: expression, epochs: 1, batch_size: 12, model_options: {size: 24}, from: {weights: identity}}
arms:
  tuned: {tested: expression}
seeds: [0, 1]
columns: [accuracy]
"""


@pytest.fixture
def tiny_recipe(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(EXPERIMENT)
    return path


def test_an_experiment_is_shared(tmp_path, monkeypatch, submit, carry_out, run, tiny_recipe):
    monkeypatch.chdir(tmp_path)
    command = ("run", str(tiny_recipe), "--jobs", "1", "--out", "shared")
    assert submit("--shards", "2", "--script", command=command)[0] == 0
    assert carry_out("shared", 0, 2) == 0
    assert Path("shared/index.html").is_file()
    assert carry_out("shared", 1, 2) == 0  # all is done: nothing is trained again
    assert run("merge", "shared")[0] == 0
    assert not Path("shared", CLAIMS).exists()
    code, _, error = run("run", tiny_recipe, "--jobs", 1, "--out", "alone", "--quiet")
    assert code == 0, error
    for table in ("results.csv", "runs.csv"):
        assert Path("shared", table).read_bytes() == Path("alone", table).read_bytes()
    assert Path("shared", STIMULI).is_dir()


def test_each_network_is_trained_by_one_process_when_all_that_it_starts_from_is_there(tmp_path):
    first = PlannedRun("first", TrainSettings(seed=0), STIMULI, "")
    runs = [
        PlannedRun("second", TrainSettings(seed=seed), STIMULI, "", {"weights": first}) for seed in (1, 2, 3)
    ]
    places = list_runs(runs, tmp_path)
    trained, left = [], []

    def train(place: Path, run: PlannedRun) -> None:
        for needed in run.inputs.values():
            assert RunFolder(needed.find_place(tmp_path)).find_state() == "complete"
        trained.append(run.settings.seed)
        time.sleep(0.1)
        place.mkdir(parents=True)
        (place / "recipe.yaml").touch()
        (place / "record.json").write_text(json.dumps({"status": "complete"}))

    def take_part() -> None:
        sharing = Sharing(tmp_path)
        with sharing.taking_part():
            try:
                sharing.train_all(places, tmp_path, train)
                time.sleep(3)  # the rest
            except GoesOnElsewhereError:
                left.append(1)

    threads = [threading.Thread(target=take_part) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(trained) == [0, 1, 2, 3]
    assert trained[0] == 0
    assert len(left) == 2
    assert not (tmp_path / CLAIMS).exists()
