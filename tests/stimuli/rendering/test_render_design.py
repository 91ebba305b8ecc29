import numpy as np
import pytest

from fernet_neuro._utils.config import read_settings
from fernet_neuro.stimuli.rendering.appearance import draw_appearance
from fernet_neuro.stimuli.rendering.design import VIEWS, RenderSettings, draw_person, plan_person

N_MODES = 33


def plan(n=None, **options):
    settings = RenderSettings(**{"identities": 3, "views": 3, "sessions": 2, **options})
    numbers = range(settings.first_identity, settings.first_identity + settings.identities)
    return [p for i in numbers for p in plan_person(settings, draw_person(settings, i, N_MODES))][:n]


def by_id(plans):
    return {p.stimulus_id: p for p in plans}


def as_numbers(p):
    return (p.expression, p.yaw, p.pitch, p.roll, p.light, p.key, p.intensity, p.action_units, p.background)


def test_the_design_is_complete():
    plans = plan()
    assert len(plans) == len(by_id(plans)) == 3 * 7 * 2 * 3
    cells = {(p.person.name, p.expression, p.session, p.view) for p in plans}
    assert len(cells) == len(plans)
    assert {p.person.name for p in plans} == {"id000", "id001", "id002"}


def test_named_views_lie_near_their_yaw():
    for p in plan(views=5):
        assert abs(p.yaw - VIEWS[p.view]) <= 5
    assert VIEWS["full_left"] == -VIEWS["full_right"] == -90


def test_more_people_views_or_sessions_change_no_earlier_picture():
    small = by_id(plan())
    for larger in (plan(identities=5), plan(views=5), plan(sessions=3)):
        larger = by_id(larger)
        assert len(larger) > len(small)
        for name, p in small.items():
            assert as_numbers(larger[name]) == as_numbers(p)
            np.testing.assert_array_equal(larger[name].person.weights, p.person.weights)


def test_another_seed_makes_other_people_and_other_pictures():
    one, other = plan(seed=0), plan(seed=1)
    assert all(not np.allclose(a.person.weights, b.person.weights) for a, b in zip(one, other, strict=True))
    assert as_numbers(one[0]) != as_numbers(other[0])


def test_sets_that_start_at_another_number_hold_other_people():
    names = {p.person.name for p in plan(first_identity=3)}
    assert names == {"id003", "id004", "id005"}
    assert (
        by_id(plan(identities=5))["id003_fear_A_straight"].yaw
        == by_id(plan(first_identity=3))["id003_fear_A_straight"].yaw
    )


def test_views_of_one_moment_share_face_and_light_and_sessions_do_not():
    plans = by_id(plan())
    left, right = plans["id001_fear_A_half_left"], plans["id001_fear_A_half_right"]
    later = plans["id001_fear_B_half_left"]
    assert (left.action_units, left.light, left.key) == (right.action_units, right.light, right.key)
    assert left.action_units != later.action_units
    assert left.light != later.light


def test_weights_and_tones_are_drawn_apart():
    people = [draw_person(RenderSettings(), i, N_MODES) for i in range(300)]
    weights = np.array([p.weights for p in people])
    tones = np.array([p.appearance.tone for p in people])
    assert weights.mean(axis=0) == pytest.approx(np.zeros(N_MODES), abs=0.25)
    assert weights.std() == pytest.approx(1.0, abs=0.05)
    correlations = [np.corrcoef(weights[:, k], tones)[0, 1] for k in range(N_MODES)]
    assert np.abs(correlations).max() < 0.25
    assert tones.std() > 0.2


def test_a_set_skin_tone_gives_everybody_the_same_colours():
    people = [draw_person(RenderSettings(skin_tone=0.4), i, N_MODES) for i in range(4)]
    assert len({(p.appearance.skin, p.appearance.hair, p.appearance.iris) for p in people}) == 1
    assert not np.allclose(people[0].weights, people[1].weights)
    dark, light = (sum(draw_appearance(np.random.default_rng(0), tone=tone).skin) for tone in (1.0, 0.0))
    assert dark < light


def test_label_noise_changes_labels_and_not_faces():
    clean, noisy = by_id(plan(identities=8)), by_id(plan(identities=8, label_noise=0.25))
    changed = [p.expression != p.expression_true for p in noisy.values()]
    assert np.mean(changed) == pytest.approx(0.25, abs=0.07)
    for name, p in noisy.items():
        assert (p.expression_true, p.action_units) == (clean[name].expression_true, clean[name].action_units)


def test_mixtures_add_a_second_expression():
    plans = plan(identities=8, mixtures=0.5)
    mixed = [p for p in plans if p.mixture]
    assert len(mixed) / len(plans) == pytest.approx(0.5, abs=0.1)
    for p in mixed:
        assert p.mixture not in (p.expression_true, "neutral")
        assert 0.2 <= p.mixture_share <= 0.5
    clean = by_id(plan(identities=8))
    assert all(p.action_units != clean[p.stimulus_id].action_units for p in mixed)


def test_levels_of_intensity_are_a_crossed_factor():
    plans = plan(intensity=[0.25, 0.5, 1.0], sessions=1, views=1)
    assert len(plans) == 3 * 7 * 3
    assert len(by_id(plans)) == len(plans)
    weak, strong = (by_id(plans)[f"id000_fear_i{level}_A_straight"] for level in ("025", "100"))
    assert weak.intensity < 0.35 < 0.8 < strong.intensity


def test_weights_thin_the_rarer_expressions():
    plans = plan(identities=30, views=1, expression_weights={"happiness": 1.0, "fear": 0.25})
    counts = {name: sum(p.expression == name for p in plans) for name in ("happiness", "fear", "anger")}
    assert counts["happiness"] == 60
    assert 6 <= counts["fear"] <= 25
    assert counts["anger"] == 0


def test_continuous_pose_spreads_over_the_range_and_names_the_nearest_view():
    plans = plan(identities=10, views=1, continuous_pose=True)
    yaw = np.array([p.yaw for p in plans])
    assert yaw.min() < -60
    assert yaw.max() > 60
    for p in plans:
        assert p.view == min(VIEWS, key=lambda name: abs(VIEWS[name] - p.yaw))


def test_occluders_come_in_their_share():
    plans = plan(identities=8, occluders=["mask", "glasses"], occluder_share=0.4)
    assert np.mean([bool(p.occluder) for p in plans]) == pytest.approx(0.4, abs=0.08)
    assert {p.occluder for p in plans} == {"", "mask", "glasses"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("identities=0", "'identities': Input should be greater than or equal to 1"),
        ("expressions=[hapiness]", "Did you mean 'happiness'"),
        ("expressions=[fear, fear]", "different values"),
        ("expressions=[]", "at least one"),
        ("views=4", "views must be 1, 2, 3 or 5"),
        ("views=[strait]", "Did you mean 'straight'"),
        ("intensity=3.0", "intensity must be >= 0.0 and <= 1.5"),
        ("intensity=.nan", "intensity must be"),
        ("occluders=[hat]", "'hat' is not known"),
        ("expression_weights={fear: 0}", "at least one weight above 0"),
        ("expression_weights={joy: 1}", "'joy' is not known"),
        ("skin_tone=2.0", "skin_tone must be"),
        ("size=4", "'size': Input should be greater"),
        ("label_noise=1.5", "'label_noise'"),
        ("styl=drawn", "Did you mean 'style'"),
    ],
)
def test_bad_settings_are_refused_by_name(override, message):
    with pytest.raises(ValueError, match=message):
        read_settings(RenderSettings, None, [override])


def test_people_show_some_of_the_expressions_and_those_pictures_are_the_same():
    full, part = by_id(plan(identities=20)), by_id(plan(identities=20, expressions_each=2))
    shown = {}
    for item in part.values():
        shown.setdefault(item.person.name, set()).add(item.expression)
    assert {len(names) for names in shown.values()} == {2}
    assert len(set().union(*shown.values())) == 7
    assert all(as_numbers(item) == as_numbers(full[name]) for name, item in part.items())


def test_nobody_can_show_more_expressions_than_there_are():
    with pytest.raises(ValueError, match="at most the number of expressions, 2"):
        RenderSettings(expressions=["anger", "fear"], expressions_each=3)
