import json
import shutil

import pytest

from fernet_neuro.exceptions import StoreError
from fernet_neuro.figures import results as reader


@pytest.fixture
def copy(results, tmp_path):
    return shutil.copytree(results / "probes", tmp_path / "res" / "probes").parent


def summary_path(folder, network="identity", target="expression"):
    return folder / "probes" / network / target / "summary.json"


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (["stem", "layer1", "avgpool", "fc"], "avgpool"),
        (["trunk.layer1", "trunk.avgpool", "embedding"], "trunk.avgpool"),
        (["trunk.block1", "trunk.block2", "trunk.embedding"], "trunk.embedding"),
        (["conv1", "conv2", "fc"], "conv2"),
        (["pixels"], "pixels"),
    ],
)
def test_layer_is_fixed_by_its_name_or_place(layers, expected):
    assert reader.choose_layer(layers) == expected


def test_layers_come_in_forward_order_whatever_the_row_order(results):
    frame = reader.read_summary(results, "verification", "identity")
    frame = frame[frame["source"] == "network"].sample(frac=1, random_state=5)
    assert reader.order_layers(frame)[:2] == ["trunk.stem", "trunk.layer1"]


def test_ridge_is_reported_where_it_was_run(results):
    frame = reader.read_summary(results, "identity", "expression")
    assert reader.choose_readout(frame.assign(readout=["sgd"] + ["ridge"] * (len(frame) - 1))) == "ridge"
    assert reader.choose_readout(frame.assign(readout="logistic")) == "logistic"


def test_networks_are_found_known_ones_first(copy):
    shutil.copytree(copy / "probes" / "identity", copy / "probes" / "a-mine")
    assert reader.find_networks(copy, "expression") == ["identity", "verification", "expression", "a-mine"]
    shutil.rmtree(copy / "probes" / "verification")
    assert reader.find_networks(copy, "identity") == ["identity", "expression", "a-mine"]


def test_a_missing_summary_names_the_file_and_the_command(tmp_path):
    with pytest.raises(StoreError, match=r"probes/identity/expression/summary.json does not exist") as caught:
        reader.read_summary(tmp_path, "identity", "expression")
    command = str(caught.value).split("make it with: ")[1]
    assert command.startswith(f"fernet-neuro probe {tmp_path}/runs/identity/seed0 ")
    assert "--target expression --holdout identity" in command


def test_no_probe_at_all_is_said(tmp_path):
    with pytest.raises(StoreError, match="does not exist; make it with: fernet-neuro probe"):
        reader.find_targets(tmp_path)
    with pytest.raises(StoreError, match="does not exist; make it with: fernet-neuro probe"):
        reader.find_networks(tmp_path, "identity")


def test_missing_stimuli_name_the_table(tmp_path):
    with pytest.raises(StoreError, match=r"stimuli/probe.csv does not exist; make it with: fernet-neuro run"):
        reader.find_probe_table(tmp_path)


def test_missing_folds_and_confusions_are_said(copy):
    for name, read in (("results.csv", reader.read_folds), ("confusion.csv", reader.read_confusion)):
        (copy / "probes" / "identity" / "expression" / name).unlink()
        with pytest.raises(StoreError, match=f"{name} does not exist"):
            read(copy, "identity", "expression")


def test_cut_json_is_called_damaged(copy):
    path = summary_path(copy)
    path.write_text(path.read_text()[:-40])
    with pytest.raises(StoreError, match=r"summary.json cannot be used: .*Delete it and make it again"):
        reader.read_summary(copy, "identity", "expression")


def test_json_of_another_kind_is_called_damaged(copy):
    summary_path(copy).write_text("[1, 2]")
    with pytest.raises(StoreError, match="holds no list of layers"):
        reader.read_summary(copy, "identity", "expression")


def test_a_lost_column_is_named(copy):
    path = copy / "probes" / "identity" / "expression" / "results.csv"
    path.write_text(path.read_text().replace("balanced_accuracy", "score"))
    with pytest.raises(StoreError, match="no column balanced_accuracy"):
        reader.read_folds(copy, "identity", "expression")


def test_an_empty_table_is_said(copy):
    path = copy / "probes" / "identity" / "expression" / "confusion.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    with pytest.raises(StoreError, match="has no rows"):
        reader.read_confusion(copy, "identity", "expression")


def test_percentages_are_refused_where_fractions_are_meant(copy):
    path = summary_path(copy)
    content = json.loads(path.read_text())
    content["layers"][0]["balanced_accuracy"] = 46.0
    path.write_text(json.dumps(content))
    with pytest.raises(StoreError, match="fraction between 0 and 1"):
        reader.read_summary(copy, "identity", "expression")


def test_numbers_that_were_not_computed_are_nan(copy):
    path = summary_path(copy)
    content = json.loads(path.read_text())
    for layer in content["layers"]:
        layer["p_value"] = None
        del layer["p_value_max"]
    path.write_text(json.dumps(content))
    frame = reader.read_summary(copy, "identity", "expression")
    assert frame["p_value"].isna().all()
    assert frame["p_value_max"].isna().all()
