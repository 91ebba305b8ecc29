"""The whole experiment, small: every stage leaves its files, and a second run adds nothing."""

import pandas as pd
import pytest

from fernet_neuro.exceptions import StimulusError, StoreError
from fernet_neuro.experiments.recipes import run_experiment
from fernet_neuro.probes.result import ProbeReport
from fernet_neuro.stimuli.table import StimulusTable
from tests.systems.transfer.conftest import make_settings

pytestmark = pytest.mark.slow


def test_every_stage_leaves_its_files(finished):
    for name in ("identity", "verification", "expression"):
        assert (finished / "runs" / name / "seed0" / "model" / "model.safetensors").is_file()
        for target in ("expression", "identity"):
            assert (finished / "probes" / name / target / "summary.json").is_file()
    assert (finished / "figures" / "transfer-bars.pdf").is_file()
    assert (finished / "index.html").stat().st_size > 10_000


def test_answers_of_further_untrained_networks_are_not_kept(finished):
    stores = {path.name for path in (finished / "stores").glob("*/*")}
    assert stores == {"seed0-trained", "seed0-untrained"}
    summary = ProbeReport.load(finished / "probes" / "identity" / "expression")
    assert {row["n_twins"] for row in summary.layers if row["source"] == "untrained"} == {2}


def test_a_layer_that_no_network_has_is_named_before_training(finished, tmp_path):
    faces = finished / "stimuli" / "faces" / "table.csv"
    with pytest.raises(ValueError, match="layer9"):
        run_experiment(make_settings(stimuli=str(faces), layers=["layer4", "layer9"]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_identity_is_both_trained_and_probed(finished):
    train = StimulusTable.read(finished / "stimuli" / "train.csv")
    probe = StimulusTable.read(finished / "stimuli" / "probe.csv")
    assert len(set(probe.factor("identity"))) == 5
    assert not set(train.factor("identity")) & set(probe.factor("identity"))


def test_the_results_speak_of_the_network_and_its_controls(finished):
    results = pd.read_csv(finished / "probes" / "identity" / "expression" / "results.csv")
    assert {"network", "untrained", "pixels", "control-task"} <= set(results["source"])
    assert set(results.loc[results["source"] == "network", "layer"]) >= {"layer1", "layer4", "avgpool"}


def test_a_second_run_finishes_what_the_first_left_and_changes_nothing_else(finished, resumed):
    summary, weights = (
        "probes/expression/identity/summary.json",
        "runs/identity/seed0/model/model.safetensors",
    )
    assert (resumed / summary).read_text() == (finished / summary).read_text()
    assert (resumed / weights).stat().st_mtime_ns == (finished / weights).stat().st_mtime_ns


def test_a_folder_in_use_is_refused(finished, tmp_path):
    with pytest.raises(StoreError, match="--resume"):
        run_experiment(make_settings(), finished)
    with pytest.raises(StoreError, match=r"another recipe \(different: probe_share\)"):
        run_experiment(make_settings(probe_share=0.5), finished, resume=True)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="not made by an experiment"):
        run_experiment(make_settings(), tmp_path, resume=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_an_identity_on_both_sides_is_refused(finished, tmp_path):
    table = finished / "stimuli" / "probe.csv"
    everybody = finished / "stimuli" / "faces" / "table.csv"
    settings = make_settings(probe_stimuli=str(everybody), stimuli=str(table))
    with pytest.raises(StimulusError, match="identity"):
        run_experiment(settings, tmp_path / "both")
    assert not (tmp_path / "both").exists()  # free for the mended recipe


def test_the_command_names_an_unknown_key_and_its_neighbour(run, tmp_path):
    code, _, error = run("run", "demo", "--out", tmp_path / "new", "--set", "probe_shares=0.2")
    assert code == 2
    assert "unknown key 'probe_shares'" in error
    assert "'probe_share'" in error
    assert not (tmp_path / "new").exists()
