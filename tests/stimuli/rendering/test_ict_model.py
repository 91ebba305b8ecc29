import json

import numpy as np
import pytest

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.rendering.action_units import EXPRESSIONS
from fernet_neuro.stimuli.rendering.design import RenderSettings, draw_person, plan_person
from fernet_neuro.stimuli.rendering.factorial import render_faces, render_plans
from fernet_neuro.stimuli.rendering.ict import SHAPES, read_ict
from fernet_neuro.stimuli.rendering.ict_convert import convert_ict, read_obj

#: First vertex and end of each part of the tiny head below.
PARTS = {
    "face": (0, 80), "head_neck": (80, 90), "mouth_socket": (94, 99), "gums_tongue": (99, 104),
    "teeth": (104, 109), "eyeball_left": (109, 121), "eyeball_right": (121, 133),
}  # fmt: skip
N_VERTICES = 137


def write_obj(path, vertices, quads=()):
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices]
    for material, corners in quads:
        lines += [f"usemtl {material}", "f " + " ".join(f"{c + 1}/1/1" for c in corners)]
    path.write_text("\n".join(["# made up", *lines]) + "\n")


@pytest.fixture
def release(tmp_path):
    """A made-up release of 137 vertices, of which 90-93 and 133-136 are dropped."""
    rng = np.random.default_rng(11)
    folder = tmp_path / "FaceXModel"
    folder.mkdir()
    vertices = rng.uniform(-8, 8, (N_VERTICES, 3))
    vertices[:, 2] += 4
    quads = [
        ("M_Face", (0, 1, 2, 3)), ("M_BackHead", (80, 81, 82, 83)), ("M_EyeLashes", (89, 90, 91, 92)),
        ("M_Teeth", (104, 105, 106, 107)), ("M_ScleraLeft", (109, 110, 111)), ("M_IrisLeft", (112, 113, 114)),
        ("M_ScleraRight", (121, 122, 123)), ("M_GumsTongue", (99, 100, 101)), ("M_BackHead", (94, 95, 96)),
    ]  # fmt: skip
    write_obj(folder / "generic_neutral_mesh.obj", vertices, quads)
    deltas = {}
    names = [f"identity{i:03d}" for i in range(3)] + ["jawOpen", "mouthSmile_L", "mouthSmile_R", "browDown_L"]
    for name in names:
        deltas[name] = rng.normal(size=(N_VERTICES, 3))
        write_obj(folder / f"{name}.obj", vertices + deltas[name])
    (folder / "vertex_indices.json").write_text(json.dumps({"idx_to_landmark_verts": list(range(2, 70))}))
    return folder, vertices, deltas


def test_the_converter_keeps_parts_and_renumbers(release, tmp_path):
    folder, vertices, deltas = release
    out = convert_ict(folder, tmp_path / "tiny.npz", parts=PARTS)
    with np.load(out, allow_pickle=False) as data:
        kept = data["original_vertex_index"]
        np.testing.assert_array_equal(kept, [*range(90), *range(94, 133)])
        np.testing.assert_allclose(data["mean"], vertices[kept], atol=1e-5)
        np.testing.assert_allclose(data["identity"][2], deltas["identity002"][kept], atol=4e-3)
        names = data["expression_names"].tolist()
        assert names == ["browDown_L", "jawOpen", "mouthSmile_L", "mouthSmile_R"]
        np.testing.assert_allclose(data["expression"][1], deltas["jawOpen"][kept], atol=4e-3)
        # A quad is two triangles; the lashes' quad has a dropped vertex.
        assert len(data["triangles"]) == 2 + 2 + 2 + 5
        assert data["triangles"].max() < len(kept)
        teeth = data["triangle_material"] == data["material_names"].tolist().index("M_Teeth")
        np.testing.assert_array_equal(kept[data["triangles"][teeth][0]], [104, 105, 106])
        np.testing.assert_array_equal(kept[data["landmarks68"]], np.arange(2, 70))
        assert data["part_names"][data["part"]][-1] == "eyeball_right"


def test_a_converted_model_can_be_read_and_blends_linearly(release, tmp_path):
    folder, vertices, deltas = release
    model = read_ict(str(convert_ict(folder, tmp_path / "tiny.npz", parts=PARTS)))
    assert model.unit_names == ("AU04L", "AU12L", "AU12R", "AU26", "AU27")
    assert model.n_drawn_modes == 3
    kept = [*range(90), *range(94, 133)]
    relaxed = model.blend_identity([0.5, 0.0, -1.0])
    expected = vertices + 0.5 * deltas["identity000"] - deltas["identity002"]
    np.testing.assert_allclose(relaxed, expected[kept], atol=0.01)
    smiling, _ = model.express(relaxed, {"AU12L": 0.4})
    np.testing.assert_allclose(smiling - relaxed, 0.4 * deltas["mouthSmile_L"][kept], atol=0.01)
    both, _ = model.express(relaxed, {"AU12": 1.0})
    total = (deltas["mouthSmile_L"] + deltas["mouthSmile_R"])[kept]
    np.testing.assert_allclose(both - relaxed, total, atol=0.02)


def test_faulty_releases_are_refused(release, tmp_path):
    folder, vertices, _ = release
    with pytest.raises(StimulusError, match=r"has no generic_neutral_mesh\.obj"):
        convert_ict(tmp_path, tmp_path / "x.npz")
    with pytest.raises(ValueError, match=r"must end in \.npz"):
        convert_ict(folder, tmp_path / "x.zip", parts=PARTS)
    with pytest.raises(StimulusError, match="the whole release has 100, 57 and 26719"):
        convert_ict(folder, tmp_path / "x.npz")
    write_obj(folder / "jawOpen.obj", vertices[:-1])
    with pytest.raises(StimulusError, match=r"jawOpen\.obj has 136 vertices, the neutral mesh 137"):
        convert_ict(folder, tmp_path / "x.npz", parts=PARTS)
    (folder / "vertex_indices.json").write_text("{}")
    with pytest.raises(StimulusError, match="no list of the 68 Multi-PIE landmarks"):
        convert_ict(folder, tmp_path / "x.npz", parts=PARTS)
    assert not (tmp_path / "x.npz").exists()


def test_broken_obj_files_name_their_line(tmp_path):
    path = tmp_path / "broken.obj"
    path.write_text("v 0 0 0\nv 1 0 zero\n")
    with pytest.raises(StimulusError, match=r"broken\.obj, line 2 is not valid"):
        read_obj(path)
    path.write_text("v 0 0 0\nf 1 2 3\n")
    with pytest.raises(StimulusError, match="faces that name others"):
        read_obj(path)
    with pytest.raises(StimulusError, match="cannot be read"):
        read_obj(tmp_path / "absent.obj")


def test_damaged_model_files_are_refused(tmp_path):
    with pytest.raises(StimulusError, match="does not exist"):
        read_ict(str(tmp_path / "absent.npz"))
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(StimulusError, match="cannot be read as"):
        read_ict(str(tmp_path / "cut.npz"))
    np.savez(tmp_path / "other.npz", mean=np.zeros((3, 3)))
    with pytest.raises(StimulusError, match="lacks the arrays identity, expression"):
        read_ict(str(tmp_path / "other.npz"))
    np.savez(tmp_path / "pickled.npz", **{n: np.array([{}], dtype=object) for n in ("mean", "identity")})
    with pytest.raises(StimulusError, match=r"lacks the arrays|cannot be read"):
        read_ict(str(tmp_path / "pickled.npz"))


@pytest.fixture(scope="module")
def ict_path(data_root):
    return str(data_root / "ict_facekit" / "ict_face_light.npz")


@pytest.mark.realdata
def test_the_real_model_has_all_units_and_expressions(ict_path):
    model = read_ict(ict_path)
    assert {name.rstrip("LR") for name in model.unit_names} == set(SHAPES)
    for prototype in EXPRESSIONS.values():
        model.activation_vector(prototype.core)
    assert model.mean.shape == (23823, 3)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("unit", "landmark", "axis", "sign"),
    [
        ("AU01", "brow_inner_L", 1, 1), ("AU02", "brow_outer_L", 1, 1), ("AU04", "brow_inner_R", 1, -1),
        ("AU12", "mouth_corner_L", 1, 1), ("AU12", "mouth_corner_L", 0, 1), ("AU15", "mouth_corner_R", 1, -1),
        ("AU20", "mouth_corner_L", 0, 1), ("AU25", "lip_lower", 1, -1), ("AU27", "chin", 1, -1),
        ("AU43", "lid_upper_L", 1, -1),
    ],
)  # fmt: skip
def test_real_units_move_their_landmark(ict_path, unit, landmark, axis, sign):
    model = read_ict(ict_path)
    vertices, _ = model.express(model.mean, {unit: 1.0})
    assert sign * (model.landmark(vertices, landmark) - model.landmark(model.mean, landmark))[axis] > 0.1


@pytest.mark.realdata
def test_real_faces_are_rendered_with_lips_hair_and_eyes(ict_path, tmp_path):
    settings = RenderSettings(
        identities=2, expressions=["happiness", "neutral"], views=1, sessions=1, size=64, face_model=ict_path
    )
    table = render_faces(settings, tmp_path / "ict")
    assert set(table.factor("face_model")) == {"ict"}
    assert table.factor("licence")[0].startswith("MIT")
    model = read_ict(ict_path)
    plans = [
        p for i in range(2) for p in plan_person(settings, draw_person(settings, i, model.n_drawn_modes))
    ]
    pictures = render_plans(settings, model, plans).astype(int)
    middle = pictures[:, 20:50, 24:40].reshape(4, -1, 3)
    assert (np.abs(pictures[0] - pictures[2]).mean()) > 3
    assert all(len(np.unique(picture // 8, axis=0)) > 20 for picture in middle)
    top = pictures[:, 4:8, 28:36].mean(axis=(1, 2, 3))
    cheek = pictures[:, 36:40, 20:24].mean(axis=(1, 2, 3))
    assert (top < cheek).all()


@pytest.mark.realdata
def test_people_take_turns_through_several_face_models(ict_path, tmp_path):
    both = ["builtin", ict_path]
    shape = {"expressions": ["happiness"], "views": 1, "sessions": 1, "size": 32}
    mixed = render_faces(out=tmp_path / "mixed", identities=4, face_model=both, **shape)
    alone = [
        render_faces(out=tmp_path / str(turn), identities=4, face_model=source, **shape)
        for turn, source in enumerate(both)
    ]
    assert mixed.factor("face_model").tolist() == ["builtin", "ict", "builtin", "ict"]
    assert mixed.image_digests == tuple(alone[n % 2].image_digests[n] for n in range(4))


def test_no_face_model_at_all_is_refused():
    with pytest.raises(ValueError, match="face_model"):
        RenderSettings(face_model=[])
