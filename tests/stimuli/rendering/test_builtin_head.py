import numpy as np
import pytest

from fernet_neuro.stimuli.rendering.appearance import Appearance
from fernet_neuro.stimuli.rendering.builtin import build_builtin
from fernet_neuro.stimuli.rendering.builtin_parts import build_head
from fernet_neuro.stimuli.rendering.face_model import MATERIALS
from fernet_neuro.stimuli.rendering.renderer import Scene, mix_paint, pose_face, render_face

FRONTAL = Scene(light=(0.0, 0.4, 0.9), size=64)


@pytest.fixture(scope="module")
def head():
    return build_builtin()


def draw(model, units=None, weights=(), scene=FRONTAL):
    relaxed = model.blend_identity(np.array(weights, dtype=float))
    return render_face(model, pose_face(model, relaxed, units or {}, mix_paint(model, Appearance())), scene)


def moved(model, unit, landmark, value=1.0):
    relaxed = model.blend_identity(np.zeros(0))
    return model.landmark(model.express(relaxed, {unit: value})[0], landmark) - model.landmark(
        relaxed, landmark
    )


def test_the_relaxed_head_is_mirror_symmetric(head):
    parts = build_head()
    mirrored = head.mean[parts.mirror] * np.array([-1, 1, 1], dtype=np.float32)
    np.testing.assert_array_equal(mirrored, head.mean)
    for name in ("mouth_corner", "eye_inner", "brow_outer"):
        left, right = (head.mean[head.landmarks[f"{name}_{side}"]] for side in "LR")
        np.testing.assert_array_equal(left * [-1, 1, 1], right)
        assert left[0] > 0


def test_a_symmetric_face_in_frontal_light_is_drawn_symmetric(head):
    picture = draw(head, {"AU12": 1.0, "AU25": 0.5}).astype(int)
    difference = np.abs(picture - picture[:, ::-1])
    assert difference.mean() < 0.3
    turned = draw(head, scene=Scene(yaw=25, light=(0.0, 0.4, 0.9), size=64)).astype(int)
    assert np.abs(turned - turned[:, ::-1]).mean() > 5


def test_turning_left_mirrors_turning_right(head):
    left, right = (
        draw(head, scene=Scene(yaw=yaw, light=(0.0, 0.4, 0.9), size=64)).astype(int) for yaw in (-40, 40)
    )
    assert np.abs(left - right[:, ::-1]).mean() < 0.3


def test_all_materials_of_a_face_are_there(head):
    used = {MATERIALS[kind] for kind in np.unique(head.materials)}
    assert used >= {
        "painted",
        "lip",
        "brow",
        "hair",
        "sclera",
        "iris",
        "pupil",
        "teeth",
        "tongue",
        "cavity",
        "lash",
    }


@pytest.mark.parametrize(
    ("unit", "landmark", "axis", "sign"),
    [
        ("AU01", "brow_inner_L", 1, 1), ("AU02", "brow_outer_R", 1, 1), ("AU04", "brow_inner_L", 1, -1),
        ("AU04", "brow_inner_L", 0, -1), ("AU05", "lid_upper_L", 1, 1), ("AU06", "cheek_R", 1, 1),
        ("AU07", "lid_lower_R", 1, 1), ("AU09", "nose_wing_L", 1, 1), ("AU10", "lip_upper", 1, 1),
        ("AU12", "mouth_corner_L", 1, 1), ("AU12", "mouth_corner_L", 0, 1), ("AU14", "mouth_corner_L", 0, 1),
        ("AU15", "mouth_corner_R", 1, -1), ("AU16", "lip_lower", 1, -1), ("AU17", "chin", 1, 1),
        ("AU20", "mouth_corner_L", 0, 1), ("AU22", "lip_upper", 2, 1), ("AU23", "lip_top", 1, -1),
        ("AU24", "lip_bottom", 1, 1), ("AU25", "lip_lower", 1, -1), ("AU26", "chin", 1, -1),
        ("AU27", "lip_lower", 1, -1), ("AU43", "lid_upper_L", 1, -1),
    ],
)  # fmt: skip
def test_action_units_move_their_landmark(head, unit, landmark, axis, sign):
    assert sign * moved(head, unit, landmark)[axis] > 0.08


def test_one_sided_units_leave_the_other_side_alone(head):
    assert moved(head, "AU12L", "mouth_corner_L")[1] > 0.5
    assert abs(moved(head, "AU12L", "mouth_corner_R")[1]) < 0.01
    both = moved(head, "AU12", "mouth_corner_L")
    np.testing.assert_allclose(both, moved(head, "AU12L", "mouth_corner_L"), atol=1e-4)


def test_jaw_drop_leaves_upper_face_and_opens_the_mouth(head):
    assert np.abs(moved(head, "AU27", "brow_inner_L")).max() < 1e-3
    relaxed = head.blend_identity(np.zeros(0))
    wide, _ = head.express(relaxed, {"AU27": 1.0})

    def gap(vertices):
        return head.landmark(vertices, "lip_upper")[1] - head.landmark(vertices, "lip_lower")[1]

    assert gap(relaxed) < 0.05
    assert gap(wide) > 1.5


def test_lids_never_cut_into_the_eyeball(head):
    relaxed = head.blend_identity(np.zeros(0))
    for amount in (0.25, 0.5, 0.75, 1.0):
        vertices, _ = head.express(relaxed, {"AU43": amount})
        for ball, lid in head.globes:
            low, high = vertices[ball].min(axis=0), vertices[ball].max(axis=0)
            distance = np.linalg.norm(vertices[lid] - (low + high) / 2, axis=1)
            assert distance.min() > (high - low)[1] / 2 + 0.5 * head.lid_gap


def test_closed_eyes_hide_the_eyeballs(head):
    def count_eye_white(units):
        picture = draw(head, units, scene=Scene(size=128, light=(0, 0.4, 0.9))).astype(int)
        eyes = picture[45:75, 25:103]
        return ((eyes.min(axis=2) > 150) & (np.ptp(eyes, axis=2) < 30)).sum()

    assert count_eye_white({}) > 20
    assert count_eye_white({"AU43": 1.0}) < 3


def test_an_open_mouth_shows_teeth_or_darkness(head):
    shut, open_ = (draw(head, units).astype(int) for units in ({}, {"AU27": 1.0, "AU25": 0.5}))
    assert (shut[44:58, 24:40].max(axis=2) < 40).sum() == 0
    assert (open_[44:58, 24:40].max(axis=2) < 40).sum() > 8


@pytest.mark.parametrize("mode", range(33))
def test_every_identity_mode_changes_the_picture_and_the_mesh_stays_sound(head, mode):
    weights = np.zeros(len(head.identity))
    weights[mode] = 2.0
    vertices = head.blend_identity(weights)
    assert np.abs(vertices - head.mean).max() > 0.05
    assert np.abs(draw(head, weights=weights).astype(int) - draw(head)).mean() > 0.05


def test_identity_modes_are_different_shapes(head):
    flat = head.identity.reshape(len(head.identity), -1)
    flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    likeness = np.abs(flat @ flat.T - np.eye(len(flat)))
    assert len(head.identity) >= 20
    assert likeness.max() < 0.97


def test_shape_alone_tells_people_apart_in_the_same_skin(head, rng):
    pictures = [draw(head, weights=rng.normal(size=len(head.identity))).astype(float) for _ in range(6)]
    between = min(np.abs(a - b).mean() for i, a in enumerate(pictures) for b in pictures[:i])
    assert between > 3


def test_unknown_units_and_landmarks_and_too_many_weights_are_refused(head):
    with pytest.raises(ValueError, match=r"action unit 'AU99' is unknown .*builtin"):
        head.activation_vector({"AU99": 1.0})
    with pytest.raises(ValueError, match="Did you mean 'nose_tip'"):
        head.landmark(head.mean, "nosetip")
    with pytest.raises(ValueError, match="at most 33 numbers"):
        head.blend_identity(np.zeros(34))
