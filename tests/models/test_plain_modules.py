"""Networks of one's own, handed over as modules: input declared, twins built or refused."""

from functools import partial

import pytest
import torch
from torch import nn

import fernet_neuro as fn
from fernet_neuro.exceptions import LayerNotFoundError
from fernet_neuro.models.plain import reset_module, wrap_module
from fernet_neuro.models.registry import untrained_twin
from fernet_neuro.stimuli.images import load_image

DECLARED = {"size": 16, "channels": "grey", "mean": 0.5, "std": 0.25}


def make_net():
    return nn.Sequential(nn.Conv2d(1, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.Linear(980, 3))


@pytest.mark.parametrize("work", [fn.extract, partial(fn.probe, n_folds=4), fn.embed])
def test_a_module_without_a_declared_input_is_refused_in_one_line(work, noise_table):
    with pytest.raises(ValueError, match="does not say what its input must look like; declare it") as caught:
        work(make_net(), noise_table, layers=["0"])
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("as by input='imagenet' and size=112 (missing: size=, input=).")


@pytest.mark.parametrize("left_out", list(DECLARED))
def test_each_part_of_the_input_is_declared_and_never_guessed(left_out):
    with pytest.raises(ValueError, match=rf"missing: {left_out}=\)"):
        fn.load_model(make_net(), **{key: value for key, value in DECLARED.items() if key != left_out})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": "gray"}, "Did you mean 'grey'"),
        ({"mean": (0.5, 0.5, 0.5)}, "one for each of 1 channels"),
        ({"std": 0}, "std must be above 0"),
        ({"size": 0}, "size must be >= 1"),
        ({"channels": "rgb"}, "fails on an input of shape"),
    ],
)
def test_declarations_that_do_not_fit_are_told(changes, message):
    with pytest.raises(ValueError, match=message):
        fn.load_model(make_net(), **{**DECLARED, **changes})


def test_layers_are_found_or_named():
    model = fn.load_model(make_net().train(), **DECLARED)
    assert model.layers == ("0", "1", "2", "4")
    assert not model.module.training
    assert fn.load_model(make_net(), layers=["2"], **DECLARED).layers == ("2",)
    with pytest.raises(LayerNotFoundError, match="no layer 'fc'"):
        fn.load_model(make_net(), layers=["fc"], **DECLARED)
    assert fn.load_model(model) is model
    with pytest.raises(ValueError, match="takes no options; got size"):
        fn.load_model(model, size=3)


def test_pictures_reach_the_module_as_declared(noise_table):
    model = fn.load_model(nn.Sequential(nn.Identity(), nn.Flatten()), layers=["1"], **DECLARED)
    found = fn.extract(model, noise_table.select([0]))["1"].values.reshape(16, 16)
    wanted = model.card.preprocessing
    image = wanted.resize_and_crop(load_image(noise_table.paths()[0]))
    grey = torch.tensor([0.2989, 0.587, 0.114]) @ image.float().reshape(3, -1) / 255
    assert torch.from_numpy(found.copy()).reshape(-1).sub((grey - 0.5) / 0.25).abs().max() < 0.02


def test_the_twin_has_new_weights_everywhere_and_leaves_the_module_alone():
    torch.manual_seed(1)
    model = wrap_module(make_net(), **DECLARED)
    model.module[1].running_mean += 3
    before = model.weight_digest()
    twin, again, other = untrained_twin(model, 5), untrained_twin(model, 5), untrained_twin(model, 6)
    assert model.weight_digest() == before
    assert twin.weight_digest() == again.weight_digest() != other.weight_digest()
    assert twin.module[1].running_mean.abs().max() == 0
    assert not torch.equal(twin.module[0].weight, model.module[0].weight)
    assert (twin.layers, twin.card.seed) == (model.layers, 5)
    torch.manual_seed(5)
    assert torch.equal(twin.module[0].weight, make_net()[0].weight)


class Held(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3, 4))

    def forward(self, x):
        return x


class Fixed(nn.Linear):
    def reset_parameters(self):
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)


def test_a_module_whose_weights_cannot_be_drawn_anew_has_no_twin():
    held = wrap_module(nn.Sequential(make_net(), Held()), layers=["1"], **DECLARED)
    with pytest.raises(ValueError, match=r"no untrained twin: 1 \(Held\) holds weights.*untrained="):
        untrained_twin(held, 1)
    fixed = wrap_module(nn.Sequential(nn.Flatten(), Fixed(256, 3)), layers=["1"], **DECLARED)
    with pytest.raises(ValueError, match="same weights for every seed"):
        untrained_twin(fixed, 1)
    attention = nn.MultiheadAttention(8, 2)
    assert not torch.equal(reset_module(attention, 1).in_proj_weight, attention.in_proj_weight)


@pytest.mark.parametrize(
    ("text", "channels", "scale", "mean", "std"),
    [
        ("imagenet", "rgb", 1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("0-1", "rgb", 1.0, (0.0,) * 3, (1.0,) * 3),
        ("-1-1", "rgb", 1.0, (0.5,) * 3, (0.5,) * 3),
        ("bgr-255", "bgr", 255.0, (0.0,) * 3, (1.0,) * 3),
        ("mean=104/117/123,std=2,channels=bgr,scale=255", "bgr", 255.0, (104.0, 117.0, 123.0), (2.0,) * 3),
        ("mean=0.5, std=0.25, channels=grey", "grey", 1.0, (0.5,), (0.25,)),
    ],
)
def test_an_input_is_declared_by_a_name_or_in_numbers(text, channels, scale, mean, std):
    n_channels = len(mean)
    net = nn.Sequential(nn.Flatten(), nn.Linear(n_channels * 64, 2))
    found = wrap_module(net, size=8, input=text).card.preprocessing
    assert (found.channels, found.scale, found.mean, found.std) == (channels, scale, mean, std)
    assert found.size == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image-net", "input must be imagenet, 0-1"),
        ("mean=0.5", "needs mean and std"),
        ("mean=a,std=1", "must be numbers"),
        ("mean=nan,std=1", "out of range"),
        ("mean=0.5,std=0", "std must be above 0"),
        ("mean=1/2,std=1", "one for each of 3 channels"),
        ("mean=0,std=1,scale=0", "out of range"),
        ("mean=0,std=1,channels=rbg", "channels"),
    ],
)
def test_an_input_that_means_nothing_is_told(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        wrap_module(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), size=8, input=text)
    assert "\n" not in str(caught.value)


def test_an_input_is_declared_once():
    with pytest.raises(ValueError, match="not both"):
        wrap_module(make_net(), size=16, input="0-1", mean=0.5)


OWN = """from torch import nn
def bare():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
def sized(size=9):
    return bare()
"""


@pytest.mark.parametrize("name", ["bare", "sized"])
@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("extract", ("--out", "store")),
        ("probe", ("--folds", 4, "--permutations", 1, "--no-controls", "--no-report", "--out", "probed")),
        pytest.param(
            "embed",
            ("--permutations", 1, "--perplexity", 4, "--no-report", "--out", "maps"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_commands_show_a_network_of_ones_own_what_is_declared(
    command, more, name, run, noise_table, tmp_path, monkeypatch
):
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    words = (f"own.py:{name}", "--stimuli", "table.csv", "--layer", "0", *more)
    code, _, err = run(command, *words, "--quiet", "--size", 12)
    assert code == 2
    assert "--input imagenet and --size 112" in err
    code, out, err = run(command, *words, "--quiet", "--size", 12, "--input", "mean=0.5,std=0.25")
    assert code == 0, err
    shown = f"Network: own.py:{name}; input: 12 px, rgb, white is 1, less mean 0.5 0.5 0.5"
    assert shown in out


@pytest.mark.parametrize("command", [("cost",), ("models", "show"), ("latency",)])
def test_commands_about_networks_take_a_declared_input(command, run, tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    more = ("--repeats", 1, "--batch", 1) if command == ("latency",) else ()
    assert run(*command, "own.py:bare", "--size", 12, *more)[0] == 2
    code, out, err = run(*command, "own.py:bare", "--size", 12, "--input", "0-1", *more)
    assert code == 0, err
    assert "own.py:bare" in out


def test_a_known_network_has_its_own_input(run, noise_table, tmp_path):
    words = ("--stimuli", tmp_path / "table.csv", "--layer", "fc", "--out", tmp_path / "store")
    code, _, err = run("extract", "resnet10-slim", *words, "--input", "0-1")
    assert code == 2
    assert "known with its input" in err
