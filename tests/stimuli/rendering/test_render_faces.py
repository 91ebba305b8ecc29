import json

import numpy as np
import pytest
from PIL import Image

from fernet_neuro._utils.config import read_settings
from fernet_neuro._utils.hashing import hash_file
from fernet_neuro.exceptions import StoreError
from fernet_neuro.stimuli.rendering import factorial, occluders
from fernet_neuro.stimuli.rendering.builtin import build_builtin
from fernet_neuro.stimuli.rendering.clips import ClipSettings, compute_phases, render_clips
from fernet_neuro.stimuli.rendering.design import RenderSettings, draw_person, plan_person
from fernet_neuro.stimuli.rendering.factorial import render_faces, render_plans
from fernet_neuro.stimuli.table import StimulusTable

SMALL = RenderSettings(identities=2, expressions=["fear", "neutral"], views=2, sessions=2, size=32)


def read_pictures(table):
    return np.stack([np.asarray(Image.open(path).convert("RGB")) for path in table.paths()]).astype(int)


def plans_of(settings):
    n_modes = build_builtin().n_drawn_modes
    return [
        p
        for i in range(settings.identities)
        for p in plan_person(settings, draw_person(settings, i, n_modes))
    ]


def draw(**options):
    settings = RenderSettings(**{"identities": 1, "views": 1, "sessions": 1, "size": 48, **options})
    return render_plans(settings, build_builtin(), plans_of(settings)).astype(int)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    out = tmp_path_factory.mktemp("rendered") / "set"
    return render_faces(SMALL, out)


def test_the_table_has_every_factor_and_matches_the_files(rendered):
    assert len(rendered) == 2 * 2 * 2 * 2
    factors = (
        "identity", "expression", "expression_true", "view", "session", "yaw", "pitch", "roll", "light_x",
        "light_y", "light_z", "skin_tone", "intensity", "action_units", "identity_weights", "mixture",
        "mixture_share", "occluder", "style", "face_model", "licence", "digest", "seed",
    )  # fmt: skip
    for name in factors:
        assert name in rendered.frame
    assert set(rendered.factor("licence")) == {"CC0-1.0"}
    assert rendered.image_digests == tuple(rendered.factor("digest"))
    weights = json.loads(rendered.frame["identity_weights"].iloc[0])
    assert len(weights) == len(build_builtin().identity_names)
    assert read_pictures(rendered).shape == (16, 32, 32, 3)


def test_the_table_survives_reading(rendered):
    again = StimulusTable.read(rendered.root / "table.csv")
    assert again == rendered
    assert again.digest() == rendered.digest()


def test_the_same_seed_gives_the_same_files_in_any_number_of_threads(rendered, tmp_path):
    again = render_faces(SMALL, tmp_path / "again", n_jobs=2)
    assert again.image_digests == rendered.image_digests
    other = render_faces(SMALL.model_copy(update={"seed": 1}), tmp_path / "other")
    assert set(other.image_digests).isdisjoint(rendered.image_digests)


def test_adding_people_changes_no_earlier_picture(rendered, tmp_path):
    more = render_faces(SMALL.model_copy(update={"identities": 3}), tmp_path / "more")
    assert more.align_to(rendered.stimulus_ids).image_digests == rendered.image_digests
    assert len(more) == 24


def test_the_settings_beside_the_table_are_those_that_made_it(rendered):
    settings = read_settings(RenderSettings, rendered.root / "settings.yaml")
    assert settings == SMALL


def test_sessions_are_near_duplicates_and_people_are_not():
    pictures = draw(identities=2, expressions=["neutral"], sessions=2, skin_tone=0.4, size=64)
    same = np.abs(pictures[0] - pictures[1]).mean()
    other = np.abs(pictures[0] - pictures[2]).mean()
    assert same > 0
    assert other > 4


def test_a_palette_keeps_the_picture_and_saves_space(tmp_path):
    full = render_faces(SMALL.model_copy(update={"size": 96}), tmp_path / "full")
    small = render_faces(SMALL.model_copy(update={"size": 96, "palette": 128}), tmp_path / "small")
    sizes = [sum(path.stat().st_size for path in table.paths()) for table in (full, small)]
    assert sizes[1] < 0.6 * sizes[0]
    assert np.abs(read_pictures(full) - read_pictures(small)).mean() < 2


def test_the_drawn_style_has_few_tones_and_dark_lines():
    shaded, drawn = (draw(style=style, size=96, expressions=["neutral"])[0] for style in ("shaded", "drawn"))
    tones = [len(np.unique(p.reshape(-1, 3) // 4, axis=0)) for p in (shaded, drawn)]
    assert tones[1] < 0.6 * tones[0]
    ink = [(p.max(axis=2) < 35).mean() for p in (shaded, drawn)]
    assert ink[1] > ink[0] + 0.01


@pytest.mark.parametrize("name", ["bar", "glasses", "hand", "mask", "scarf", "sunglasses"])
def test_an_occluder_hides_its_part_of_the_face_and_no_other(name):
    clear = draw(expressions=["neutral"], size=96)[0]
    worn = draw(expressions=["neutral"], size=96, occluders=[name], occluder_share=1.0)[0]
    changed = np.abs(clear - worn).max(axis=2) > 12
    eyes, mouth, forehead = changed[40:52, 22:74], changed[68:76, 36:60], changed[14:26, 30:66]
    covers = {
        "bar": eyes,
        "glasses": eyes,
        "sunglasses": eyes,
        "hand": mouth,
        "mask": mouth,
        "scarf": changed[76:86, 36:60],
    }
    assert covers[name].mean() > (0.1 if name == "glasses" else 0.5)
    assert forehead.mean() < 0.05


@pytest.mark.parametrize("stretch", [1.0, 1.5])
def test_cloth_hangs_on_below_a_chin_that_the_mesh_ends_at(stretch):
    model = build_builtin()
    chin = model.landmark(model.mean, "chin")[1]
    face = model.mean[model.mean[:, 1] > chin - 1.0] * [1.0, stretch, 1.0]
    rows = np.linspace(face[:, 1].min() - 4.0, face[:, 1].min() + 2.0, 6)
    cloth = occluders._draped(face, rows, np.full(6, 1.5), 0.6)
    assert np.isfinite(cloth.vertices).all()
    assert np.ptp(cloth.vertices[:, 1]) == pytest.approx(6.0)


def test_random_backgrounds_differ_and_grey_ones_do_not():
    grey = draw(expressions=["neutral", "fear"], sessions=2)
    random = draw(expressions=["neutral", "fear"], sessions=2, background="random")
    assert len(np.unique(grey[:, 0, 0], axis=0)) == 1
    assert len(np.unique(random[:, 0, 0], axis=0)) == 4


def test_stronger_intensity_moves_the_picture_further_from_neutral():
    options = {"variation": 0.0, "sessions": 1, "size": 64}
    weak, strong = draw(expressions=["surprise"], intensity=[0.3, 1.0], **options)
    # With intensity 0 the relaxed face comes out; the pose jitter differs, so compare shapes through it.
    neutral = draw(expressions=["surprise"], intensity=0.0, **options)[0]
    assert np.abs(strong - neutral).mean() > np.abs(weak - neutral).mean()


def test_a_folder_that_is_not_empty_is_kept(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(StoreError, match="is not empty; choose another folder"):
        render_faces(SMALL, tmp_path)
    with pytest.raises(StoreError, match="is a file"):
        render_faces(SMALL, tmp_path / "mine.txt")
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_overwriting_replaces_the_folder_as_a_whole(tmp_path):
    out = tmp_path / "set"
    out.mkdir()
    (out / "old.txt").write_text("old")
    render_faces(SMALL, out, overwrite=True)
    assert sorted(path.name for path in out.iterdir()) == ["images", "settings.yaml", "table.csv"]


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(factorial, "encode_png", fail)
    with pytest.raises(OSError, match="No space left"):
        render_faces(SMALL, tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_face_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must be 'builtin' or the path of an \.npz file"):
        render_faces(SMALL.model_copy(update={"face_model": "flame"}), tmp_path / "set")
    with pytest.raises(ValueError, match="n_jobs must be >= 1"):
        render_faces(SMALL, tmp_path / "set", n_jobs=0)


def test_weights_that_leave_nothing_are_refused(tmp_path):
    settings = SMALL.model_copy(update={"expression_weights": {"anger": 1.0}})
    with pytest.raises(ValueError, match="leaves no picture"):
        render_faces(settings, tmp_path / "set")


def landmarks(settings):
    """Landmarks relative to the face's middle, (n, 3 * n_landmarks), without view or light."""
    model = build_builtin()
    rows = []
    for p in plans_of(settings):
        units = {
            k: float(v) for k, _, v in (item.partition("=") for item in p.action_units.split(";") if item)
        }
        vertices, _ = model.express(model.blend_identity(p.person.weights), units)
        rows.append(vertices[list(model.landmarks.values())].ravel())
    return np.array(rows)


def test_expression_is_linearly_decodable_across_people():
    from sklearn.linear_model import RidgeClassifier

    settings = RenderSettings(identities=40, views=1, sessions=1)
    X, plans = landmarks(settings), plans_of(settings)
    y, people = np.array([p.expression for p in plans]), np.array([p.person.name for p in plans])
    test = np.isin(people, np.unique(people)[:12])
    score = RidgeClassifier(alpha=0.1).fit(X[~test], y[~test]).score(X[test], y[test])
    shuffled = np.random.default_rng(0).permutation(y)
    null = RidgeClassifier(alpha=0.1).fit(X[~test], shuffled[~test]).score(X[test], y[test])
    assert score > 0.9
    assert null < 0.35


def test_identity_is_decodable_from_shape_across_expressions():
    settings = RenderSettings(identities=15, views=1, sessions=1)
    X, plans = landmarks(settings), plans_of(settings)
    y, expression = np.array([p.person.name for p in plans]), np.array([p.expression for p in plans])
    neutral, smiling = (X[expression == name] for name in ("neutral", "happiness"))
    # Without the mean smile, the nearest neutral face is one's own.
    distance = ((smiling - smiling.mean(0))[:, None] - (neutral - neutral.mean(0))[None]) ** 2
    nearest = distance.sum(axis=2).argmin(axis=1)
    assert (y[expression == "neutral"][nearest] == y[expression == "happiness"]).mean() > 0.9


def test_clips_run_from_neutral_to_apex(tmp_path):
    settings = ClipSettings(identities=1, expressions=["happiness", "surprise"], frames=5, size=48, sway=0.0)
    table = render_clips(settings, tmp_path / "clips")
    assert len(table) == 10
    assert (
        table.factor("clip").tolist()
        == ["id000_happiness_A_straight"] * 5 + ["id000_surprise_A_straight"] * 5
    )
    assert table.factor("frame").tolist() == [0, 1, 2, 3, 4] * 2
    assert {path.parent.name for path in table.paths()} == set(table.factor("clip"))
    assert tuple(hash_file(path) for path in table.paths()) == tuple(table.factor("digest"))
    pictures = read_pictures(table)[:5]
    away = np.abs(pictures - pictures[0]).mean(axis=(1, 2, 3))
    assert (np.diff(away[:4]) > 0).all()
    # The apex is reached at 0.7 of the clip, before the fourth frame.
    np.testing.assert_array_equal(pictures[3], pictures[4])


def test_phases_rise_smoothly_and_hold():
    phases = compute_phases(21, 0.5)
    assert phases[0] == 0
    assert (phases[10:] == 1).all()
    assert (np.diff(phases[:11]) > 0).all()
    assert compute_phases(7, 1.0)[-1] == 1


def test_clips_refuse_a_folder_that_is_not_empty(tmp_path):
    (tmp_path / "x").write_text("x")
    with pytest.raises(StoreError, match="not empty"):
        render_clips(ClipSettings(identities=1), tmp_path)
