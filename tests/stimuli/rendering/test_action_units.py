import numpy as np
import pytest

from fernet_neuro.stimuli.rendering import action_units as au
from fernet_neuro.stimuli.rendering.builtin import build_builtin


def draw(expression, seed=0, **options):
    return au.draw_activations(expression, np.random.default_rng(seed), **options)


def total(units, name):
    return sum(value for key, value in units.items() if key.startswith(name))


def test_the_seven_expressions_are_there_in_alphabetical_order():
    assert list(au.EXPRESSIONS) == ["anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"]


def test_every_unit_of_a_prototype_is_known_and_can_be_shown():
    model = build_builtin()
    for prototype in au.EXPRESSIONS.values():
        for units in (prototype.core, *(option for _, option in prototype.options)):
            assert set(units) <= set(au.ACTION_UNIT_NAMES)
            model.activation_vector(units)


def test_without_variation_the_prototype_comes_out():
    for expression, prototype in au.EXPRESSIONS.items():
        units = draw(expression, variation=0.0)
        for name, value in prototype.core.items():
            sides = 2 if name in au.SIDED else 1
            assert total(units, name) == pytest.approx(sides * value, abs=1e-9)
        assert {key.rstrip("LR") for key in units} == set(prototype.core)


def test_intensity_scales_every_unit():
    weak, strong = (draw("fear", seed=5, intensity=level) for level in (0.5, 1.0))
    assert set(weak) == set(strong)
    for name, value in strong.items():
        assert weak[name] == pytest.approx(value / 2, abs=1e-3)
    assert draw("fear", seed=5, intensity=0.0) == {}


def test_two_draws_differ_and_stay_near_the_prototype():
    drawn = [draw("sadness", seed) for seed in range(40)]
    assert len({au.format_activations(units) for units in drawn}) == 40
    brows = np.array([total(units, "AU01") / 2 for units in drawn])
    assert brows.mean() == pytest.approx(1.0, abs=0.08)
    assert 0.05 < brows.std() < 0.25


def test_options_come_with_their_probability():
    parted = np.mean([total(draw("happiness", seed), "AU25") > 0.5 for seed in range(400)])
    assert parted == pytest.approx(0.75, abs=0.08)


def test_activations_survive_their_text():
    units = {"AU12L": 0.812, "AU12R": 0.9, "AU25": 0.333}
    assert au.parse_activations(au.format_activations(units)) == units
    assert au.format_activations({"AU12": 0.0001}) == ""
    assert au.parse_activations("") == {}


def test_a_mixture_lies_between_its_parts():
    one, other = {"AU12": 1.0}, {"AU04": 0.8, "AU12": 0.2}
    assert au.mix_activations(one, other, 0.25) == pytest.approx({"AU04": 0.2, "AU12": 0.8})
    assert au.mix_activations(one, other, 0.0) == pytest.approx({"AU04": 0.0, "AU12": 1.0})


def test_an_unknown_expression_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="'happy' is not known"):
        draw("happy")
