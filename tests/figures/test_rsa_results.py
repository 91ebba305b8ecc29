import numpy as np
import pandas as pd
import pytest

from fernet_neuro.figures import rdm_gallery, rsa_layer_roi
from fernet_neuro.figures.registry import FIGURES
from fernet_neuro.figures.rsa_results import read_analyses
from fernet_neuro.rsa.analysis.run import RSAFolder, RSASettings, run_rsa
from fernet_neuro.rsa.rdms import RDMSet

BLOCKS = np.repeat(list("klmnop"), 2)


@pytest.fixture(scope="module")
def compared():
    """Layers 0, 1 and 4 of a network trained with three seeds, pixels, and five subjects in two regions."""
    rng = np.random.default_rng(0)
    ids = np.array([f"face{number}" for number in range(12)])
    shared = rng.uniform(size=66)
    rows = [(layer, seed) for seed in ("a", "b", "c") for layer in ("0", "1", "4")]
    table = pd.DataFrame(rows, columns=["layer", "seed"])
    table = table.assign(model=table["layer"], source=[f"store-{seed}" for seed in table["seed"]])
    table = pd.concat([table, pd.DataFrame({"model": ["pixels"], "source": ["stimuli"]})])
    share = [{"0": 0.1, "1": 2.0, "4": 0.5}.get(layer, 0.0) for layer in table["layer"]]
    vectors = np.array(share)[:, None] * shared + 0.5 * rng.uniform(size=(10, 66))
    models = RDMSet(vectors, ids, table, distance="correlation")
    people = [(roi, subject) for roi in ("FFA", "STS") for subject in "uvwxy"]
    scans = shared + 0.4 * rng.uniform(size=(10, 66))
    return models, RDMSet(scans, ids, pd.DataFrame(people, columns=["roi", "subject"]))


@pytest.fixture(scope="module")
def over_seeds(compared, tmp_path_factory):
    models, brain = compared
    settings = RSASettings("pearson", n_bootstraps=30, n_permutations=0, over_seeds=True)
    return RSAFolder(run_rsa(models, brain, settings), models, brain).save(tmp_path_factory.mktemp("seeds"))


def test_rdms_of_training_seeds_are_told_apart_by_layer_and_seed(over_seeds):
    names = rdm_gallery.read_gallery(over_seeds)["rdm"].unique().tolist()
    wanted = [f"{layer} | {seed}" for seed in ("a", "b", "c") for layer in ("0", "1", "4")]
    assert names == ["FFA", "STS", "pixels", *wanted]


def test_peaks_of_training_seeds_are_told_in_words_and_not_drawn_over_one_another(over_seeds):
    source = rsa_layer_roi.read_layers(over_seeds)
    assert source["kind"].value_counts().to_dict() == {"layer": 6, "reference": 2, "seed peak": 6}
    seeds = source[source["kind"] == "seed peak"]
    assert seeds["seed"].tolist() == ["store-a", "store-b", "store-c"] * 2
    assert seeds["position"].tolist() == [1.0] * 6
    figure = rsa_layer_roi.draw_layers(source)
    lines = [line for ax in figure.axes for line in ax.lines]
    assert not [line for line in lines if str(line.get_gid()).startswith("peak:")]
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["0", "1", "4"]
    caption = rsa_layer_roi.caption_layers(source)
    assert "peak of each of the 3 seeds: (a) 1, 1, 1; (b) 1, 1, 1. " in caption
    assert "and the spread of training seeds" in caption


@pytest.mark.parametrize(
    ("inference", "drawn", "how"),
    [("bootstrap", " (N = 30)", "drawn as wholes"), ("components", "", "each of which varies as a whole")],
)
@pytest.mark.parametrize(
    ("generalise_to", "said"),
    [("both", ", stimuli in 6 blocks (identity), "), ("subjects", "")],
)
def test_captions_say_which_stimuli_are_drawn_together(
    compared, tmp_path, generalise_to, said, inference, drawn, how
):
    models, brain = (rdms.take(range(3)) for rdms in compared)
    settings = RSASettings("pearson", generalise_to, n_bootstraps=30, n_permutations=0, inference=inference)
    parts = models.names[:2]
    result = run_rsa(
        models, brain, settings, blocks=BLOCKS, partition=parts, notes={"identity_blocks": "identity"}
    )
    RSAFolder(result, models, brain).save(tmp_path)
    intervals = read_analyses(tmp_path)[0].describe_intervals()
    assert intervals.endswith(f"{drawn}{said}{how if said else ''}")
    shares = read_analyses(tmp_path)[0].describe_intervals(of_shares=True)
    assert shares.endswith(f" (N = 30){said}{'drawn as wholes' if said else ''}")
    assert "from a bootstrap over " in shares
    assert shares in FIGURES["variance-partition"].caption(FIGURES["variance-partition"].read(tmp_path))
    for name in ("rsa-layer-roi", "rsa-models"):
        assert intervals in FIGURES[name].caption(FIGURES[name].read(tmp_path))


@pytest.mark.parametrize(
    ("sources", "name"), [(["runs/faces_store"], "faces_store"), (["a", "b"], "network")]
)
def test_layers_go_by_the_name_of_the_one_store(compared, tmp_path, sources, name):
    models, brain = compared
    one = models.take([0, 1, 2])
    plain = RDMSet(one.dissimilarities, one.stimulus_ids, one.table[["layer", "model"]])
    settings = RSASettings("pearson", "subjects", n_bootstraps=10, n_permutations=0)
    result = run_rsa(plain, brain, settings, notes={"model_sources": sources})
    out = RSAFolder(result, plain, brain).save(tmp_path / "out")
    assert set(rsa_layer_roi.read_layers(out).query("kind == 'layer'")["network"]) == {name}
