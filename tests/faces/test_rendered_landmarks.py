from dataclasses import replace

import numpy as np
import pytest

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.faces.aligned_set import align_stimuli, locate_by_table
from fernet_neuro.faces.rendered import compute_rendered_landmarks
from fernet_neuro.stimuli.rendering.design import RenderSettings, draw_person, plan_person
from fernet_neuro.stimuli.rendering.factorial import load_face_model, make_scene, pose_plan, render_faces
from fernet_neuro.stimuli.rendering.renderer import mix_paint, render_face

SETTINGS = RenderSettings(identities=2, expressions=["neutral", "surprise"], views=3, sessions=1, size=144)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return render_faces(SETTINGS, tmp_path_factory.mktemp("rendered") / "faces")


def find_paint(model, posed, scene, vertex):
    """Return the middle (column, row) of what red paint on one vertex changes in the picture."""
    albedo = posed.albedo.copy()
    albedo[model.landmarks[vertex]] = (1, 0, 0)
    painted = render_face(model, replace(posed, albedo=albedo), scene).astype(float)
    change = np.abs(painted - render_face(model, posed, scene)).sum(axis=2)
    return np.array([(change * axis).sum() for axis in np.indices(change.shape)[::-1]]) / change.sum()


def test_points_lie_where_paint_on_the_head_shows_in_the_picture(faces):
    model = load_face_model("builtin")
    points = dict(zip(faces.stimulus_ids, compute_rendered_landmarks(faces).points, strict=True))
    person = draw_person(SETTINGS, 0, model.n_drawn_modes)
    relaxed, paint = model.blend_identity(person.weights), mix_paint(model, person.appearance)
    for plan in plan_person(SETTINGS, person):
        posed, scene = pose_plan(model, relaxed, paint, plan), make_scene(SETTINGS, plan)
        left_eye, right_eye, nose, left_mouth, right_mouth = points[plan.stimulus_id]
        dots = {"nose_tip": nose}
        if plan.view == "straight":
            dots |= {"mouth_corner_R": left_mouth, "mouth_corner_L": right_mouth}
            for eye, side in ((left_eye, "R"), (right_eye, "L")):
                lid = find_paint(model, posed, scene, f"lid_lower_{side}")
                assert abs(lid[0] - eye[0]) < 2.5
                assert 0.5 < lid[1] - eye[1] < 8
        for name, point in dots.items():
            assert np.hypot(*(find_paint(model, posed, scene, name) - point)) < 1.2


def test_left_is_the_viewers_and_the_nose_leads_the_turn(faces):
    points = compute_rendered_landmarks(faces).points
    view = faces.factor("view")
    assert (points[:, 0, 0] < points[:, 1, 0]).all()
    assert (points[:, 3:, 1] > points[:, 2, 1, None]).all()
    ahead = points[:, 2, 0] - points[:, :2, 0].mean(axis=1)
    assert (ahead[view == "half_right"] > 5).all()
    assert (ahead[view == "half_left"] < -5).all()


def test_points_scale_with_the_picture(faces, tmp_path):
    settings = SETTINGS.model_copy(update={"size": 48})
    small = compute_rendered_landmarks(render_faces(settings, tmp_path / "small"))
    np.testing.assert_allclose(
        (compute_rendered_landmarks(faces).points + 0.5) / 3, small.points + 0.5, atol=1e-3
    )


def test_alignment_brings_all_views_of_a_face_to_one_place(faces, tmp_path):
    report = align_stimuli(faces, tmp_path / "out", locate_by_table(compute_rendered_landmarks(faces)))
    assert len(report.table) == len(faces)
    straight = faces.factor("view") == "straight"
    residual = report.table.factor("align_residual")
    # A turned head fits a template of straight faces worse.
    assert residual[straight].max() < residual[~straight].min()


def test_photographs_have_no_true_landmarks(noise_table):
    with pytest.raises(StimulusError, match="not of rendered faces: it has no column 'identity_weights'"):
        compute_rendered_landmarks(noise_table)


def test_another_face_model_is_refused(faces):
    other = type(faces).from_frame(faces.frame.assign(face_model="ict"), root=faces.root)
    with pytest.raises(StimulusError, match="rendered from the face model 'ict', not 'builtin'"):
        compute_rendered_landmarks(other)
