"""Progress is silent unless asked for, and never changes what it counts."""

import pytest

from fernet_neuro._utils.progress import make_progress, track


def test_items_pass_through_and_nothing_is_shown(capsys):
    assert list(track(iter("abc"), "letters")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_a_bar_is_drawn_on_standard_error_with_its_count(capsys):
    assert list(track(iter("abcde"), "letters", total=5, verbose=True)) == list("abcde")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "letters" in captured.err
    assert "5/5" in captured.err


def test_an_error_takes_the_bar_off(capsys):
    def break_off():
        yield "a"
        raise ValueError("no b")

    with pytest.raises(ValueError, match="no b"):
        list(track(break_off(), "letters", total=2, verbose=True))
    captured = capsys.readouterr()
    assert (captured.out, captured.err.strip()) == ("", "")


def test_further_columns_show_their_fields(capsys):
    with make_progress("loss {task.fields[loss]:.3f}") as progress:
        progress.update(progress.add_task("training", total=2, loss=1.0), completed=2, loss=0.25)
    assert "loss 0.250" in capsys.readouterr().err
