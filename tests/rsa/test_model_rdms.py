import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from fernet_neuro.activations.array import Activations
from fernet_neuro.activations.pixels import compute_pixels
from fernet_neuro.exceptions import AlignmentError, StimulusError
from fernet_neuro.faces.landmarks import LandmarkTable
from fernet_neuro.rsa.compare import compare_rdms
from fernet_neuro.rsa.models.factors import (
    build_factor_rdm,
    build_gabor_rdm,
    build_landmark_rdm,
    build_model_rdms,
    build_pixel_rdm,
    build_text_rdm,
    build_weights_rdm,
)
from fernet_neuro.rsa.models.gabor import compute_gabor_energy
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.stimuli.text_table import make_random_table, read_text_table


@pytest.fixture
def rated(rng):
    frame = pd.DataFrame(
        {
            "stimulus_id": ["c1", "a2", "b3", "a10", "d4"],
            "path": [f"{number}.png" for number in range(5)],
            "identity": ["01", "02", "01", "02", "03"],
            "expression": ["fear", "anger", "anger", "fear", "fear"],
            "view": "straight",
            "arousal": [3, 1, 4, 1, 5],
            "valence": [0.5, np.nan, 0.25, 0.0, 1.0],
            "glasses": [True, False, False, True, False],
            "AU01": [0.0, 0.2, 1.0, 0.4, 0.0],
            "AU02": [1.0, 0.2, 0.1, 0.0, 0.0],
        }
    )
    return StimulusTable.from_frame(frame)


@pytest.fixture
def faces(rng, rated):
    points = np.array([[30, 40], [70, 40], [50, 60], [35, 80], [65, 80.0]]) + rng.normal(size=(6, 5, 2))
    ids = np.array(["extra", *rated.stimulus_ids[::-1]])
    return LandmarkTable(ids, points, pd.DataFrame())


@pytest.mark.parametrize("factor", ["identity", "expression", "glasses"])
def test_labels_are_the_same_or_not(rated, factor):
    values = rated.factor(factor)
    square = build_factor_rdm(rated, factor).to_squares()[0]
    assert np.array_equal(square, (values[:, None] != values).astype(float))


def test_numbers_differ_by_their_difference_unless_they_are_labels(rated):
    values = rated.factor("arousal")
    rdms = build_factor_rdm(rated, "arousal")
    assert np.array_equal(rdms.to_squares()[0], np.abs(values[:, None] - values))
    assert (rdms.distance, rdms.unit) == ("absolute_difference", "unit of arousal")
    labels = build_factor_rdm(rated, "arousal", kind="categorical")
    assert np.array_equal(labels.to_squares()[0], values[:, None] != values)


def test_factors_that_make_no_model_are_refused(rated):
    with pytest.raises(StimulusError, match=r"no factor 'ident'.*'identity'"):
        build_factor_rdm(rated, "ident")
    with pytest.raises(StimulusError, match=r"1 of 5 stimuli have no 'valence' \(first: 'a2'\)"):
        build_factor_rdm(rated, "valence")
    with pytest.raises(StimulusError, match="all 5 stimuli are the same in 'view'"):
        build_factor_rdm(rated, "view")
    with pytest.raises(StimulusError, match="'identity' holds labels, not numbers"):
        build_factor_rdm(rated, "identity", kind="numeric")
    with pytest.raises(ValueError, match="'ordinal' is not known"):
        build_factor_rdm(rated, "arousal", kind="ordinal")
    frame = rated.frame.assign(arousal=[1.0, np.inf, 2.0, 3.0, 4.0])
    with pytest.raises(StimulusError, match="'arousal' of stimulus 'a2' is inf"):
        build_factor_rdm(StimulusTable.from_frame(frame), "arousal")
    with pytest.raises(ValueError, match="number of stimuli must be >= 2"):
        build_factor_rdm(rated.select([0]), "identity")


def test_lists_of_weights_are_compared_by_euclidean_distance(rated):
    rdms = build_weights_rdm(rated, ["AU01", "AU02"], "action units")
    expected = pdist(np.stack([rated.factor("AU01"), rated.factor("AU02")], axis=1))
    assert np.allclose(rdms.dissimilarities[0], expected)
    assert rdms.names == ["action units"]
    with pytest.raises(StimulusError, match="column 'identity' of model 'x' holds labels"):
        build_weights_rdm(rated, ["AU01", "identity"], "x")
    with pytest.raises(StimulusError, match="no factor 'AU04'"):
        build_weights_rdm(rated, ["AU04"], "x")
    with pytest.raises(ValueError, match="'x' needs one column or more"):
        build_weights_rdm(rated, [], "x")


def test_texts_put_stimuli_as_far_apart_as_their_expressions(noise_table):
    texts = read_text_table("builtin")
    rdms = build_text_rdm(noise_table, texts)
    labels, pairs = noise_table.factor("expression"), np.triu_indices(len(noise_table), 1)
    for value, i, j in zip(rdms.dissimilarities[0], *pairs, strict=True):
        a, b = (texts.select([labels[row]]).vectors[0].astype(float) for row in (i, j))
        assert value == pytest.approx(1 - a @ b / np.sqrt(a @ a * (b @ b)), abs=1e-9)
    assert len(np.unique(rdms.dissimilarities)) == 1 + 3  # pairs of expressions, equal to the last bit
    assert rdms.names == ["texts (all-MiniLM-L6-v2)"]


def test_expressions_without_a_text_are_listed_and_one_expression_says_nothing(rated):
    with pytest.raises(StimulusError, match=r"no class 'anger', 'fear'.*It has neutral, joy"):
        build_text_rdm(rated, make_random_table(["neutral", "joy"], 5))
    with pytest.raises(StimulusError, match="are the same in 'expression'"):
        build_text_rdm(rated[rated["expression"] == "fear"], read_text_table("builtin"))


def test_landmarks_are_those_of_the_stimuli_in_their_order(rated, faces):
    rdms = build_landmark_rdm(rated, faces, align=False)
    points = faces.points[:0:-1].reshape(5, -1)
    assert np.allclose(rdms.dissimilarities[0], pdist(points))
    assert rdms.unit == "pixels"


def test_aligned_landmarks_ignore_place_and_size_and_keep_the_turn(rated, faces, rng):
    moved = faces.points * rng.uniform(0.5, 2, (6, 1, 1)) + rng.normal(size=(6, 1, 2)) * 40
    straight = build_landmark_rdm(rated, faces)
    changed = build_landmark_rdm(rated, LandmarkTable(faces.stimulus_ids, moved, pd.DataFrame()))
    assert np.allclose(straight.dissimilarities, changed.dissimilarities)
    turned = faces.points.copy()
    turned[1] = turned[1] @ np.array([[0.8, -0.6], [0.6, 0.8]])
    other = build_landmark_rdm(rated, LandmarkTable(faces.stimulus_ids, turned, pd.DataFrame()))
    assert other.dissimilarities.max() > 3 * straight.dissimilarities.max()


def test_a_stimulus_without_landmarks_is_named(rated, faces):
    fewer = LandmarkTable(faces.stimulus_ids[:4], faces.points[:4], pd.DataFrame())
    with pytest.raises(AlignmentError, match=r"2 of 5 stimuli have no landmarks \(first: 'c1'\)"):
        build_landmark_rdm(rated, fewer)
    same = LandmarkTable(faces.stimulus_ids, faces.points[[0] * 6], pd.DataFrame())
    with pytest.raises(StimulusError, match="all 5 stimuli are the same in 'landmarks'"):
        build_landmark_rdm(rated, same)


def test_pixel_rdms_are_distances_of_grey_levels(noise_table):
    found = build_pixel_rdm(noise_table, size=18)
    layer = compute_pixels(noise_table, 18)
    assert np.allclose(found.dissimilarities[0], pdist(layer.values.astype(float), "correlation"))
    assert found.table.to_dict("list") == {"model": ["pixels"], "distance": ["correlation"]}
    assert found.n_channels == 324


def test_models_come_together_in_the_order_asked_for(noise_table, rng):
    table = StimulusTable.from_frame(
        noise_table.frame.assign(rating=rng.random(24), AU12=rng.random(24)), root=noise_table.root
    )
    found = build_model_rdms(
        table, ["expression", "identity", "rating"], weights={"units": ["AU12"]}, pixels=True, gabor=True
    )
    assert found.names == ["expression", "identity", "rating", "units", "pixels", "gabor"]
    assert found.distance == "mixed"
    assert np.array_equal(found.stimulus_ids, table.stimulus_ids)
    assert found.select(model="gabor").dissimilarities.std() > 0
    with pytest.raises(ValueError, match="no model is asked for"):
        build_model_rdms(table)
    with pytest.raises(ValueError, match="two models are called 'identity'"):
        build_model_rdms(table, ["identity", "identity"])


def _gratings(parameters, side=64):
    y, x = np.mgrid[:side, :side] / side
    maps = [
        0.5 + 0.4 * np.cos(2 * np.pi * cycles * (x * np.cos(angle) + y * np.sin(angle)) + phase)
        for cycles, angle, phase in parameters
    ]
    names = [f"g{number}" for number in range(len(maps))]
    return Activations.from_maps(np.stack(maps).astype(np.float32), names, "pixels")


@pytest.mark.parametrize("orientation", range(8))
@pytest.mark.parametrize("place", [0, 1, 2])
def test_each_filter_answers_most_to_its_own_grating_at_its_amplitude(orientation, place):
    frequencies = (4.0, 8.0, 16.0)
    grating = _gratings([(frequencies[place], np.pi * orientation / 8, 0.7)])
    energy = compute_gabor_energy(grating, frequencies=frequencies).maps[0]
    inner = energy[:, :, 2:6, 2:6].mean(axis=(2, 3))
    assert np.unravel_index(inner.argmax(), inner.shape) == (place, orientation)
    assert abs(inner.max() - 0.4) < 0.01


def test_energy_does_not_depend_on_phase_or_sign_or_mean_grey():
    phases = _gratings([(8, 0.3, phase) for phase in (0, 1, 2, np.pi)])
    energy = compute_gabor_energy(phases, frequencies=(8.0,)).maps[:, :, :, 2:6, 2:6]
    assert np.abs(energy - energy[0]).max() < 0.01
    flat = Activations.from_maps(np.full((2, 64, 64), 0.7, dtype=np.float32), ["a", "b"], "pixels")
    assert np.abs(compute_gabor_energy(flat, frequencies=(4.0, 8.0)).values).max() < 1e-5


def test_energy_is_that_of_filters_slid_over_the_picture(rng):
    pixels = Activations.from_maps(rng.random((1, 48, 48)).astype(np.float32), ["a"], "pixels")
    found = compute_gabor_energy(pixels, frequencies=(8.0,), n_orientations=3, n_places=48)
    sd = 0.56 * 48 / 8
    y, x = np.mgrid[-23:24, -23:24].astype(float)
    window = np.exp(-(x**2 + y**2) / (2 * sd**2)) / (2 * np.pi * sd**2)
    padded = np.pad(pixels.maps[0].astype(float), 23, mode="symmetric")
    for number in range(3):
        along = x * np.cos(np.pi * number / 3) + y * np.sin(np.pi * number / 3)
        wave = np.exp(2j * np.pi * 8 / 48 * along)
        leak = np.exp(-2 * (np.pi * 0.56) ** 2)
        kernel = 2 * window * (wave - leak)
        middle = padded[10 + 23 - 23 : 10 + 23 + 24, 30 + 23 - 23 : 30 + 23 + 24]
        expected = abs((middle * kernel[::-1, ::-1]).sum())
        assert abs(found.maps[0, 0, number, 10, 30] - expected) < 2e-3 * expected + 1e-4


def test_gabor_sees_where_contrast_is_and_pixels_see_its_sign(tmp_path, rng):
    noise = rng.normal(size=(3, 96, 96))
    pictures = {"a": noise[0], "negative": -noise[0], "b": noise[1], "c": noise[2]}
    for name, values in pictures.items():
        grey = np.clip(128 + 40 * values, 0, 255).astype(np.uint8)
        Image.fromarray(np.stack([grey] * 3, axis=2)).save(tmp_path / f"{name}.png")
    frame = pd.DataFrame({"stimulus_id": list(pictures), "path": [f"{name}.png" for name in pictures]})
    table = StimulusTable.from_frame(frame, root=tmp_path)
    gabor, pixels = build_gabor_rdm(table).to_squares()[0], build_pixel_rdm(table, size=96).to_squares()[0]
    assert gabor[0, 1] < gabor[0, 2] / 5
    assert pixels[0, 1] > 1.9


def test_pictures_and_filters_must_fit(rng):
    flat = Activations(rng.random((2, 64)), np.array(["a", "b"]), "pixels")
    with pytest.raises(ValueError, match=r"unit_shape \(height, width\); got \(64,\)"):
        compute_gabor_energy(flat)
    small = Activations.from_maps(rng.random((2, 20, 20)), ["a", "b"], "pixels")
    with pytest.raises(ValueError, match="frequency must be >= 1 and <= 5"):
        compute_gabor_energy(small)
    with pytest.raises(ValueError, match="n_places must be >= 1 and <= 20"):
        compute_gabor_energy(small, frequencies=(4.0,), n_places=21)


def test_a_model_finds_itself_in_data_made_from_it(rated, rng):
    model = build_factor_rdm(rated, "arousal")
    noisy = type(model)(model.dissimilarities + 0.1 * rng.normal(size=10), model.stimulus_ids)
    found = compare_rdms(noisy, model, "spearman").values[0, 0]
    assert found > 0.8
    assert np.isclose(found, spearmanr(noisy.dissimilarities[0], model.dissimilarities[0])[0])
