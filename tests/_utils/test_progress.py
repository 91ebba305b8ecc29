"""Progress is silent unless asked for, and never changes what it counts."""

import pytest

from fernet_neuro._utils.progress import WIDE, make_progress, track
from fernet_neuro.training.log import show_steps


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


@pytest.mark.parametrize("width", [80, 100, WIDE, 200])
@pytest.mark.parametrize("task", ["identification", "identity-readout"])
def test_step_and_time_left_of_a_training_fit_on_the_terminal(capsys, monkeypatch, width, task):
    monkeypatch.setenv("COLUMNS", str(width))
    with show_steps(f"Training {task}", 123456, 98765, "balanced_accuracy", verbose=True) as bar:
        bar.advance(0.25, 64)
        bar.show_validation(0.987)
    said = capsys.readouterr().err
    assert "…" not in said
    assert "98766/123456" in said
    assert "loss 0.250" in said
    assert ("val balanced accuracy 0.987" in said) == ("images/s" in said) == (width >= WIDE)
    (line,) = (line for line in said.splitlines() if line.startswith("Training"))
    assert len(line) <= width
    assert line.rstrip().endswith(":--") or line.rstrip()[-3] == ":"
