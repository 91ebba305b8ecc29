from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from fernet_neuro.stimuli._names import make_safe_path


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=120), min_size=2, max_size=5, unique=True))
@example(["x" * 300, "x" * 301, "a/" + "y" * 300 + "/b"])
@example(["../x", "..", "/x", "ü", "u"])
def test_any_ids_give_different_names_inside_the_folder(texts):
    # Lone surrogates are no text that a table can hold.
    texts = [text for text in texts if text.isprintable()]
    names = [make_safe_path(text) for text in texts]
    assert len(set(names)) == len(names)
    for name in names:
        assert name.isascii()
        assert ".." not in Path(name).parts
        assert not Path(name).is_absolute()
        assert max(len(part) for part in name.split("/")) < 100


def test_plain_ids_stay_as_they_are():
    assert make_safe_path("AF01/AF01AFS_1.2-b+c") == "AF01/AF01AFS_1.2-b+c"


def test_hidden_and_empty_parts_are_renamed():
    assert make_safe_path(".hidden").startswith("hidden-")
    assert make_safe_path("a//b").split("/")[1].startswith("item-")
