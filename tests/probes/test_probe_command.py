import json
import shutil
from functools import partial

import numpy as np
import pandas as pd
import pytest

import fernet_neuro as fn
from fernet_neuro.activations.store import ActivationStore, write_store
from fernet_neuro.exceptions import StimulusError
from fernet_neuro.extraction.extract import extract_activations
from fernet_neuro.models.resolve import resolve_model
from fernet_neuro.probes.result import ProbeReport
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.fit import fit
from fernet_neuro.viz.results import list_profile

NETWORK = """
import fernet_neuro as fn
from torch import nn

def build(size):
    pool = nn.AdaptiveAvgPool2d(2)
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), pool, nn.Flatten(), nn.Linear(20, 7))
    return fn.load_model(net, size=size, channels="rgb", mean=0.5, std=0.5)
"""


@pytest.fixture(scope="module")
def run(run):
    """The command without its page; ``run.func`` takes any."""
    return partial(run, "probe", "--no-report")


@pytest.fixture
def store(noise_table, simulated, rng, tmp_path):
    activations = simulated(noise_table, rng, expression=1.5, identity=1.0)
    return write_store(tmp_path / "store", noise_table, [activations])


OPTIONS = ("--layer", "layer4", "--folds", 2, "--permutations", 19)


@pytest.fixture(scope="module")
def probed(run, make_noise_table, simulated, tmp_path_factory):
    """Folder with a table of pictures, its ``store`` and the report ``out`` of a probe; what was said."""
    folder, rng = tmp_path_factory.mktemp("probed"), np.random.default_rng(20200501)
    table = make_noise_table(folder, rng)
    store = write_store(folder / "store", table, [simulated(table, rng, expression=1.5, identity=1.0)])
    code, said, err = run(store.path, *OPTIONS, "--out", folder / "out")
    assert code == 0, err
    return folder, said


def test_store_is_probed_with_a_table_of_the_layers(probed):
    folder, out = probed
    lines = [line.split() for line in out.splitlines()]
    assert [line[:3] for line in lines if "ridge" in line[2:]] == [
        ["network", "layer4", "ridge"],
        ["control-task", "layer4", "ridge"],
        ["pixels", "pixels", "ridge"],
    ]
    assert "within identity" in out
    assert "untrained twin were given; give one with --untrained STORE" in out
    report = ProbeReport.load(folder / "out")
    assert report.layers[0]["p_value"] == pytest.approx(1 / 20)


def test_json_is_the_summary_and_nothing_else(run, store, tmp_path):
    code, out, err = run(store.path, *OPTIONS, "--out", tmp_path / "out", "--no-controls", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == json.loads((tmp_path / "out" / "summary.json").read_text())


def test_network_is_extracted_with_its_untrained_twin_and_only_once(run, noise_table, tmp_path):
    (tmp_path / "net.py").write_text(NETWORK)
    arguments = [
        f"{tmp_path / 'net.py'}:build", "--stimuli", tmp_path / "table.csv", "--layer", 0, "--layer", 4,
        "--size", 16, "--folds", 2, "--permutations", 9, "--twins", 2, "--out", tmp_path / "out",
    ]  # fmt: skip
    code, _, err = run(*arguments)
    assert code == 0, err
    report = ProbeReport.load(tmp_path / "out")
    assert {(row["source"], row["layer"]) for row in report.layers} == {
        *((source, layer) for source in ("network", "untrained", "control-task") for layer in "04"),
        ("pixels", "pixels"),
    }
    manifest = tmp_path / "out" / "stores" / "seed0" / "manifest.json"
    before = manifest.stat().st_mtime_ns
    assert run(*arguments, "--overwrite")[0] == 0
    assert manifest.stat().st_mtime_ns == before
    assert ProbeReport.load(tmp_path / "out") == report


def test_a_network_that_was_extracted_does_not_run_again(run, trained, noise_table, tmp_path, monkeypatch):
    extract_activations(trained, noise_table, None, tmp_path / "elsewhere")
    options = ("--layer", "fc", "--folds", 2, "--permutations", 9, "--no-controls")
    stimuli = ("--stimuli", tmp_path / "table.csv")
    monkeypatch.setattr("fernet_neuro.extraction.extract._fill", None)  # nothing is left to run a network
    code, _, err = run(trained, *stimuli, *options, "--out", tmp_path / "out")
    assert code == 0, err
    assert not (tmp_path / "out" / "stores").exists()


def test_several_sources_are_training_seeds(run, noise_table, simulated, tmp_path):
    for seed in range(3):
        activations = simulated(noise_table, np.random.default_rng(seed), expression=0.3)
        write_store(tmp_path / f"store{seed}", noise_table, [activations])
    sources = [tmp_path / f"store{seed}" for seed in range(3)]
    code, out, err = run(*sources, *OPTIONS, "--out", tmp_path / "out", "--no-controls")
    assert code == 0, err
    assert "training seeds" in out
    assert ProbeReport.load(tmp_path / "out").layers[0]["n_training_seeds"] == 3


def test_a_finished_report_is_not_overwritten_unasked(run, probed, tmp_path):
    arguments = (probed[0] / "store", *OPTIONS, "--out", tmp_path / "out", "--no-controls")
    shutil.copytree(probed[0] / "out", tmp_path / "out")
    before = (tmp_path / "out" / "summary.json").read_bytes()
    code, _, err = run(*arguments, "--seed", 3)
    assert code == 2
    assert "already holds summary.json; add --overwrite" in err
    assert (tmp_path / "out" / "summary.json").read_bytes() == before
    assert run(*arguments, "--seed", 3, "--overwrite")[0] == 0
    assert (tmp_path / "out" / "summary.json").read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--layer", "layr4"), "no layer 'layr4'. Did you mean 'layer4'?"),
        ((), "name layers with --layer NAME"),
        (("--layer", "layer4", "--target", "expressions"), "Did you mean 'expression'?"),
        (("--layer", "layer4", "--target", "view"), "at least two classes"),
        (("--layer", "layer4", "--holdout", "sessions"), "Did you mean 'session'?"),
        (("--layer", "layer4", "--readout", "ridg"), "Did you mean 'ridge'?"),
        (("--layer", "layer4", "--holdout", "expression"), "cannot be read out while it is held out"),
        (("--layer", "layer4", "--permute-within", "people"), "--permute-within people is not known"),
        (("again", "--layer", "layer4", *["--untrained", "a"] * 3), "one --untrained store per SOURCE"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(run, store, tmp_path, arguments, message):
    code, out, err = run(store.path, "--folds", 4, *arguments, "--out", tmp_path / "out")
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_mistyped_path_is_no_network(run, noise_table, tmp_path):
    options = ("--stimuli", tmp_path / "table.csv", *OPTIONS, "--out", tmp_path / "out")
    for source in (tmp_path / "stor", "demoo/store"):
        code, _, err = run(source, *options)
        assert code == 2
        assert "no such folder" in err
        assert "network, so" not in err
    # What may name code or weights is left to the search for networks.
    assert "no such folder. Name" not in run("resnet@gone/w.pt", *options)[2]


def test_too_many_folds_are_told_as_an_option(run, store, noise_table, tmp_path):
    for extra in ((), ("--stimuli", tmp_path / "table.csv")):
        arguments = ("--layer", "layer4", "--folds", 9, *extra, "--out", tmp_path / "out")
        code, _, err = run(store.path, *arguments)
        assert code == 2
        assert "Use --folds 4 or fewer" in err


def test_twin_is_compared_in_the_table(run, store, noise_table, simulated, tmp_path):
    twin = simulated(noise_table, np.random.default_rng(8), identity=1.0)
    write_store(tmp_path / "twin", noise_table, [twin])
    code, out, err = run(store.path, *OPTIONS, "--untrained", tmp_path / "twin", "--out", tmp_path / "out")
    assert code == 0, err
    assert "that of one untrained twin" in out
    row = ProbeReport.load(tmp_path / "out").layers[0]
    assert f"{100 * row['difference_untrained']:+.1f}" in next(
        line for line in out.splitlines() if line.startswith("network")
    )


def test_several_twins_are_one_row_and_tell_how_much_random_weights_differ(
    run, store, noise_table, simulated, tmp_path
):
    places = []
    for number in range(3):
        twin = simulated(noise_table, np.random.default_rng(number), identity=1.0, expression=0.3)
        places += ["--untrained", write_store(tmp_path / f"twin{number}", noise_table, [twin]).path]
    code, out, err = run(store.path, *OPTIONS, *places, "--out", tmp_path / "out")
    assert code == 0, err
    assert "accuracy minus the mean of 3 untrained twins" in out
    rows = {row["source"]: row for row in ProbeReport.load(tmp_path / "out").layers}
    alone = []
    for place in places[1::2]:
        assert run(place, *OPTIONS, "--no-controls", "--out", tmp_path / "alone", "--overwrite")[0] == 0
        alone.append(ProbeReport.load(tmp_path / "alone").layers[0]["balanced_accuracy"])
    twins = rows["untrained"]
    assert twins["balanced_accuracy"] == pytest.approx(np.mean(alone))
    assert (twins["n_twins"], twins["twin_sd"]) == (3, pytest.approx(np.std(alone, ddof=1)))
    difference = rows["network"]["balanced_accuracy"] - np.mean(alone)
    assert rows["network"]["difference_untrained"] == pytest.approx(difference)
    assert rows["network"]["difference_untrained_interval"] == "untrained networks and identities"


def test_store_cut_short_is_one_line(run, store, tmp_path):
    layer = max(store.path.glob("*.npy"), key=lambda path: path.stat().st_size)
    layer.write_bytes(layer.read_bytes()[:100])
    code, _, err = run(store.path, *OPTIONS, "--out", tmp_path / "out")
    assert code == 2
    assert layer.name in err


def test_labels_are_checked_before_a_network_runs(run, noise_table, tmp_path):
    frame = noise_table.frame.drop(columns="identity")
    StimulusTable.from_frame(frame, root=tmp_path).write(tmp_path / "nameless.csv")
    code, _, err = run(
        "no-such-network", "--stimuli", tmp_path / "nameless.csv", *OPTIONS, "--out", tmp_path / "out"
    )
    assert code == 2
    assert "24 of 24 stimuli have no 'identity'" in err
    code, _, err = run("no-such-network", *OPTIONS, "--out", tmp_path / "out")
    assert code == 2
    assert "(--stimuli TABLE)" in err


def test_one_photograph_per_class_and_fold_needs_a_penalty(run, noise_table, simulated, rng, tmp_path):
    pairs = noise_table.select(expression=["anger", "neutral"], session="A")
    store = write_store(tmp_path / "pairs", pairs, [simulated(pairs, rng, identity=2.0)])
    options = ("--layer", "layer4", "--target", "identity", "--holdout", "expression", "--permutations", 19)
    code, _, err = run(store.path, *options, "--out", tmp_path / "out")
    assert code == 2
    assert "--relative-penalty 0.01" in err.splitlines()[-1]  # after the progress bar
    code, _, err = run(
        store.path, *options, "--out", tmp_path / "out", "--relative-penalty", "0.01", "--no-controls"
    )
    assert code == 0, err
    report = ProbeReport.load(tmp_path / "out")
    assert report.layers[0]["balanced_accuracy"] == 1.0
    assert report.layers[0]["chance_level"] == 0.25


def test_the_mean_on_exchanged_labels_stands_beside_p_and_can_lie_below_chance(
    run, table_of, simulated, rng, tmp_path
):
    # A tested pose's person is in training, where the class that is tested is missing.
    frame = table_of(n_people=6, n_expressions=5).frame
    for name in frame["path"]:
        (tmp_path / name).write_text(name)
    table = StimulusTable.from_frame(frame, root=tmp_path)
    store = write_store(tmp_path / "people", table, [simulated(table, rng, identity=3.0, noise=0.1)])
    options = ("--layer", "layer4", "--holdout", "random", "--permutations", 39, "--no-controls")
    code, out, err = run(store.path, *options, "--relative-penalty", 0.01, "--out", tmp_path / "out")
    assert code == 0, err
    report = ProbeReport.load(tmp_path / "out")
    row = report.layers[0]
    assert row["null_mean"] == pytest.approx(report.null_scores["network", "layer4", "ridge"].mean())
    assert row["null_mean"] < row["chance_level"] - 0.02
    lines = out.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("network"))
    head, line = lines[at - 1].split(), lines[at].split()
    assert head[8:10] == ["null", "%"]
    assert f"{100 * row['null_mean']:.1f}" in line
    assert "p: above exchanged labels, whose mean accuracy is null %" in out


def test_without_exchanges_there_is_no_mean_over_them(run, store, tmp_path):
    options = ("--layer", "layer4", "--folds", 2, "--permutations", 0, "--no-controls")
    code, out, err = run(store.path, *options, "--out", tmp_path / "out")
    assert code == 0, err
    assert "above exchanged labels" not in out
    assert ProbeReport.load(tmp_path / "out").layers[0]["null_mean"] is None


@pytest.fixture(scope="module")
def run_folder(make_noise_table, tmp_path_factory):
    """Run folder of a network that learnt to name three of the four people."""
    folder = tmp_path_factory.mktemp("trained")
    settings = TrainSettings(
        task="identification",
        model="resnet10-slim",
        model_options={"size": 16},
        epochs=1,
        batch_size=18,
        val_share=0,
    )
    table = make_noise_table(folder, np.random.default_rng(20200501))
    fit(settings, folder / "run", table=table.select(identity=["id0", "id1", "id2"]), device="cpu")
    return folder / "run"


@pytest.fixture
def trained(run_folder, tmp_path):
    return shutil.copytree(run_folder, tmp_path / "trained")


def test_people_whom_the_network_was_trained_on_are_counted(run, trained, noise_table, tmp_path):
    options = ("--layer", "fc", "--folds", 2, "--permutations", 0, "--no-controls")
    stimuli = ("--stimuli", tmp_path / "table.csv")
    code, out, err = run(trained, *stimuli, *options, "--out", tmp_path / "out")
    assert code == 0, err
    line = f"3 of 4 people were trained on in {trained}: unless equal labels mean different people"
    assert line in out
    counts = {str(trained): {"n_trained": 3, "n_people": 4}}
    assert ProbeReport.load(tmp_path / "out").settings["trained_people"] == counts

    store = tmp_path / "theirs"
    extract_activations(resolve_model(str(trained)), noise_table, ["fc"], store, source=str(trained))
    code, out, err = run(store, *options, "--out", tmp_path / "again")
    assert (code, line in out) == (0, True), err

    others = noise_table.frame.assign(identity="new" + noise_table.frame["identity"])
    StimulusTable.from_frame(pd.DataFrame(others), root=tmp_path).write(tmp_path / "others.csv")
    code, out, err = run(trained, "--stimuli", tmp_path / "others.csv", *options, "--out", tmp_path / "new")
    assert (code, "trained on" in out) == (0, False), err
    assert ProbeReport.load(tmp_path / "new").settings["trained_people"][str(trained)]["n_trained"] == 0


def test_a_run_that_does_not_say_whom_it_learnt_is_named(run, trained, noise_table, tmp_path):
    record = json.loads((trained / "record.json").read_text())
    del record["train_identities"]
    (trained / "record.json").write_text(json.dumps(record))
    options = ("--layer", "fc", "--folds", 2, "--permutations", 0, "--no-controls")
    code, out, err = run(trained, "--stimuli", tmp_path / "table.csv", *options, "--out", tmp_path / "out")
    assert code == 0, err
    assert f"{trained} does not record whom it was trained on" in out


def test_a_quantity_is_printed_as_one(run, noise_table, store, tmp_path):
    valence = np.arange(len(noise_table)) % 5 / 4
    paths = [str(tmp_path / name) for name in noise_table["path"]]
    noise_table.frame.assign(valence=valence, path=paths).to_csv(tmp_path / "rated.csv", index=False)
    rated = ("--stimuli", tmp_path / "rated.csv", "--target", "valence", "--no-controls")
    asked = (store.path, *OPTIONS, *rated)
    code, out, err = run(*asked, "--out", tmp_path / "out")
    assert code == 0, err
    assert "R2 is 0 for the mean of the training part" in out
    assert out.startswith("From layer 4, a linear read-out (ridge) ")
    assert "Highest of" not in out
    assert (
        run(*asked, "--scale", "classes", "--permute-within", "none", "--out", tmp_path / "classes")[0] == 0
    )
    code, _, err = run(*asked, "--readout", "lda", "--out", tmp_path / "other")
    assert (code, err.count("\n")) == (2, 1)
    assert "'valence' is a quantity, and 'lda' reads out classes" in err


def test_a_network_without_trained_weights_is_called_so_in_table_page_and_figure(run, noise_table, tmp_path):
    fn.extract(fn.load_model("resnet10-slim", size=16), noise_table, ["fc"], out=tmp_path / "store")
    words = (tmp_path / "store", "--layer", "fc", "--folds", 2, "--permutations", 9, "--no-controls")
    code, text, err = run.func("probe", *words, "--out", tmp_path / "o")
    assert code == 0, err
    assert "network (random weights)  fc" in text
    assert "resnet10-slim@WEIGHTS" in text
    page = (tmp_path / "o" / "index.html").read_text()
    assert "network (random weights)" in page
    assert "resnet10-slim@WEIGHTS" in page
    report = ProbeReport.load(tmp_path / "o")
    assert set(list_profile(report)["network"]) == {"random weights"}
    assert set(report.frame["source"]) == {"network"}


def test_seeds_of_networks_with_random_weights_are_called_so(noise_table):
    networks = [fn.load_model("resnet10-slim", size=16, seed=seed) for seed in (0, 1)]
    options = {"layers": ["fc"], "n_folds": 2, "n_permutations": 9, "controls": ()}
    report = fn.probe(networks, noise_table, **options)
    assert report.weights == "random weights"
    assert len(report.settings["networks"]) == 2


def test_a_store_that_was_moved_alone_serves_for_all_but_pictures(run, probed, tmp_path):
    elsewhere = tmp_path / "other" / "place" / "store"
    shutil.copytree(probed[0] / "store", elsewhere)
    code, text, err = run(elsewhere, *OPTIONS, "--out", tmp_path / "o")
    assert code == 0, err
    assert "Left out: pixels (none of the pictures is where the table says" in text
    stayed, moved = (ProbeReport.load(place).frame for place in (probed[0] / "out", tmp_path / "o"))
    assert set(stayed["source"]) - set(moved["source"]) == {"pixels"}
    both = [frame[frame["source"] == "network"]["balanced_accuracy"].item() for frame in (stayed, moved)]
    assert both[0] == both[1]


def test_what_needs_the_pictures_of_a_moved_store_says_so_in_one_line(store, tmp_path):
    elsewhere = tmp_path / "other" / "place" / "store"
    shutil.copytree(store.path, elsewhere)
    table = ActivationStore.open(elsewhere).stimuli
    with pytest.raises(StimulusError, match=r"does not exist; .*a store that was moved") as caught:
        fn.compute_rdms(table, pixels=True)
    assert "\n" not in str(caught.value)
    assert fn.compute_rdms(table, factors=["identity"]).n_rdms == 1
    assert fn.compute_rdms(ActivationStore.open(elsewhere)).n_rdms == 1


def test_twins_that_would_be_ignored_are_refused(run, store, tmp_path):
    words = (store.path, *OPTIONS, "--out", tmp_path / "o", "--no-controls", "--untrained", store.path)
    code, _, err = run(*words)
    assert code == 2
    assert "--no-controls leaves all out" in err
