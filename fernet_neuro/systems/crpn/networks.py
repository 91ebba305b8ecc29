"""The two pathways of CRPN [1]: emotion concepts beside a frozen network for all else, and fast perception.

What belongs here: the networks, and trained weights for their trunks; the names of trunks and the options'
defaults are in `registry`, the losses in `losses`, the training in `training`.

References
----------
[1] Lu, H., Zhuang, X. & Luo, Q. (2024). A brain-inspired way of reducing the network complexity via
    concept-regularized coding for emotion recognition. AAAI.
"""

from dataclasses import replace
from typing import Any, NamedTuple, Self

from torch import Tensor, nn
from torch.nn import functional

from fernet_neuro._utils.validation import check_option, check_range, check_type
from fernet_neuro.models import sources, trunks
from fernet_neuro.models.blueprint import Blueprint, Trunk
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.preprocessing import Preprocessing, list_differences
from fernet_neuro.models.registry import build_trunk

HIDDEN = 128  # width of the hidden layer of each classifier [1, released]


class ConceptFeatures(NamedTuple):
    """All that the conceptual pathway says about a batch."""

    emotion: Tensor  # (n, n_features), rows of length 1
    non_emotion: Tensor | None  # (n, n_features), rows of length 1; None without that encoder
    confidence: Tensor  # (n,), 0-1
    scores: Tensor  # (n, n_classes), before they are weighted
    logits: Tensor  # (n, n_classes), scores times confidence
    identity: Tensor | None  # (n, n_identities) logits; None without the read-out


class PerceptualFeatures(NamedTuple):
    """All that the perceptual pathway says about a batch."""

    perceptual: Tensor  # (n, n_features), rows of length 1
    logits: Tensor  # (n, n_classes)


class Encoder(nn.Module):
    """A trunk, and a head of two linear layers whose output is scaled to length 1.

    Parameters
    ----------
    trunk : nn.Module
        A network less its classifier; trailing axes of its output are flattened.
    n_in, n_features : int
        Width of the trunk's output, and of the features.
    dropout : float
        Share of hidden units dropped in training, 0-1.
    """

    def __init__(self, trunk: nn.Module, n_in: int, n_features: int, dropout: float) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Sequential(
            nn.Linear(n_in, n_features), nn.ReLU(), nn.Dropout(dropout), nn.Linear(n_features, n_features)
        )
        self._frozen = False

    def forward(self, images: Tensor) -> Tensor:
        """Return unit rows (n, n_features) for `images` (n, n_channels, size, size)."""
        return functional.normalize(self.head(self.trunk(images).flatten(1)), dim=1)

    def freeze_trunk(self, frozen: bool = True) -> None:
        """Hold the trunk as it is, running statistics included, or let it learn; the head always learns."""
        self._frozen = frozen
        self.trunk.requires_grad_(not frozen)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode; a frozen trunk stays in evaluation mode."""
        super().train(mode)
        if self._frozen:
            self.trunk.eval()
        return self


class Product(nn.Module):
    """Class scores times confidence, as a module so that its output can be read as a layer."""

    def forward(self, confidence: Tensor, scores: Tensor) -> Tensor:
        """Return (n, n_classes) for confidence (n, 1) and scores (n, n_classes)."""
        return confidence * scores


def _make_classifier(n_features: int, n_classes: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_features, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, n_classes))


class ConceptualPathway(nn.Module):
    """Emotion concepts with a confidence each, and beside them features of all that is not emotion [1].

    Parameters
    ----------
    emotion : Encoder
        Learns.
    non_emotion : Encoder or None
        Its trunk is frozen here, until `unfreeze_non_emotion_trunk`; None leaves the encoder out, as in use.
    n_features, n_classes : int
        Width of the encoders' output, and number of emotions.
    n_identities : int
        People told apart by the read-out of the non-emotion features; 0 leaves it out.
    """

    def __init__(
        self,
        emotion: Encoder,
        non_emotion: Encoder | None,
        *,
        n_features: int,
        n_classes: int,
        n_identities: int = 0,
    ) -> None:
        super().__init__()
        self.emotion = emotion
        self.non_emotion = non_emotion
        if non_emotion is not None:
            non_emotion.freeze_trunk()
        self.identity = _make_classifier(n_features, n_identities) if n_identities else None
        self.confidence = nn.Sequential(nn.Linear(n_features, 1), nn.Sigmoid())
        self.scores = _make_classifier(n_features, n_classes)
        self.logits = Product()

    def forward(self, images: Tensor, *, full: bool = False) -> Tensor | ConceptFeatures:
        """Return logits (n, n_classes), or everything with `full`.

        `images` (n, n_channels, size, size): preprocessed. `full`: whether to return `ConceptFeatures`;
        either way every module runs once.
        """
        emotion = self.emotion(images)
        non_emotion = None if self.non_emotion is None else self.non_emotion(images)
        identity = None if self.identity is None else self.identity(non_emotion)
        confidence = self.confidence(emotion)
        scores = self.scores(emotion)
        logits = self.logits(confidence, scores)
        if not full:
            return logits
        return ConceptFeatures(emotion, non_emotion, confidence.squeeze(1), scores, logits, identity)

    def unfreeze_non_emotion_trunk(self) -> None:
        """Let the trunk of the non-emotion encoder learn.

        Raises ValueError if the network was built without that encoder.
        """
        if self.non_emotion is None:
            raise ValueError("this network has no non-emotion encoder (non_emotion_trunk='none').")
        self.non_emotion.freeze_trunk(False)


class PerceptualPathway(nn.Module):
    """One encoder and a classifier [1].

    Parameters
    ----------
    perceptual : Encoder
        Learns.
    n_features, n_classes : int
        Width of the encoder's output, and number of emotions.
    """

    def __init__(self, perceptual: Encoder, *, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.perceptual = perceptual
        self.logits = _make_classifier(n_features, n_classes)

    def forward(self, images: Tensor, *, full: bool = False) -> Tensor | PerceptualFeatures:
        """Return logits (n, n_classes), or `PerceptualFeatures` with `full`, for `images` as preprocessed."""
        perceptual = self.perceptual(images)
        logits = self.logits(perceptual)
        return PerceptualFeatures(perceptual, logits) if full else logits


def build_conceptual(
    emotion: Trunk,
    non_emotion: Trunk | None,
    *,
    n_classes: int,
    n_features: int,
    dropout: float,
    n_identities: int,
) -> Blueprint:
    """Return the conceptual pathway on two trunks that take the same input.

    Raises ValueError, TypeError if the trunks differ in preprocessing, a number is out of range, or people
    are to be read out of a non-emotion encoder that is not there.
    """
    _check_widths(n_classes, n_features, dropout)
    check_range("n_identities", check_type("n_identities", n_identities, int), 0)
    if non_emotion is None and n_identities:
        raise ValueError(f"n_identities={n_identities} needs a non-emotion encoder; give non_emotion_trunk.")
    parts = {"emotion": emotion} if non_emotion is None else {"emotion": emotion, "non_emotion": non_emotion}
    if non_emotion is not None:
        _check_preprocessing(emotion.preprocessing, non_emotion.preprocessing)
    encoders = [Encoder(trunk.module, trunk.n_features, n_features, dropout) for trunk in parts.values()]
    module = ConceptualPathway(
        encoders[0],
        encoders[1] if len(encoders) > 1 else None,
        n_features=n_features,
        n_classes=n_classes,
        n_identities=n_identities,
    )
    layers = [layer for part, trunk in parts.items() for layer in _list_layers(part, trunk)]
    layers += ["identity"] * bool(n_identities) + ["confidence", "scores", "logits"]
    return Blueprint(module, emotion.preprocessing, tuple(layers))


def build_perceptual(trunk: Trunk, *, n_classes: int, n_features: int, dropout: float) -> Blueprint:
    """Return the perceptual pathway on `trunk`.

    Raises ValueError, TypeError if a number is out of range.
    """
    _check_widths(n_classes, n_features, dropout)
    encoder = Encoder(trunk.module, trunk.n_features, n_features, dropout)
    module = PerceptualPathway(encoder, n_features=n_features, n_classes=n_classes)
    return Blueprint(module, trunk.preprocessing, (*_list_layers("perceptual", trunk), "logits"))


def _check_widths(n_classes: int, n_features: int, dropout: float) -> None:
    check_range("n_classes", check_type("n_classes", n_classes, int), 1)
    check_range("n_features", check_type("n_features", n_features, int), 1)
    check_range("dropout", check_type("dropout", dropout, (int, float)), 0.0, 0.999)


def _list_layers(part: str, trunk: Trunk) -> tuple[str, ...]:
    return (*(f"{part}.trunk.{layer}" for layer in trunk.layers), part)


def _check_preprocessing(first: Preprocessing, second: Preprocessing) -> None:
    differences = list_differences(first, second)
    if differences:
        raise ValueError(
            f"the emotion and the non-emotion trunk see one image and must prepare it alike; they differ in "
            f"{differences}. Use trunks of one kind, such as resnet50-vggface2 or resnet10-slim for both."
        )


def load_trunk(model: LayeredModel, part: str, source: str) -> LayeredModel:
    """Put trained weights into the trunk of the `part` of a pathway: see `models.trunks.load_trunk`.

    Parameters
    ----------
    model : LayeredModel
        A pathway.
    part : {"emotion", "non_emotion", "perceptual"}
        Whose trunk; another pathway gives the trunk of the same part.
    source : str

    Raises
    ------
    ValueError
        If the network has no such part, or the source is not there or prepares its images differently.
    StoreError
        If the source cannot be read or its weights do not fit.
    """
    encoders = {name: item for name, item in model.module.named_children() if isinstance(item, Encoder)}
    if not encoders:
        raise ValueError(f"network {model.card.name!r} has no pathway's trunk; use a crpn network.")
    trunk = encoders[check_option("part", part, encoders)].trunk
    return trunks.load_trunk(model, trunk, source, part=f"{part} trunk", places=(f"{part}.trunk.", "trunk."))


def _build_pathway_trunk(argument: str, name: str, size: int) -> Trunk:
    """Return the trunk of a pathway; none of one's own code, so that loading a pathway never runs a file."""
    check_type(argument, name, str)
    if name.startswith("crpn-") or (":" in name and not name.startswith(sources.TIMM_PREFIX)):
        raise ValueError(
            f"{argument}={name!r} cannot be the trunk of a pathway; use a registered network that is no "
            f"pathway itself, a torchvision name or timm:NAME."
        )
    return build_trunk(name, {"size": size})


# The variants of the two pathways differ in losses and training, not in the network.
def make_conceptual(
    *,
    variant: str,  # noqa: ARG001
    emotion_trunk: str,
    non_emotion_trunk: str,
    size: int,
    **options: Any,
) -> Blueprint:
    """Return the conceptual pathway; ``non_emotion_trunk="none"`` leaves that encoder out."""
    emotion = _build_pathway_trunk("emotion_trunk", emotion_trunk, size)
    non_emotion = None
    if non_emotion_trunk != "none":
        non_emotion = _build_pathway_trunk("non_emotion_trunk", non_emotion_trunk, size)
    return build_conceptual(emotion, non_emotion, **options)


def make_perceptual(
    *,
    variant: str,  # noqa: ARG001
    trunk: str,
    size: int,
    resize: int | None,
    **options: Any,
) -> Blueprint:
    """Return the perceptual pathway; `resize` gives it another pathway's crop in place of its trunk's own."""
    blueprint = build_perceptual(_build_pathway_trunk("trunk", trunk, size), **options)
    if resize is None:
        return blueprint
    check_range("resize", check_type("resize", resize, int), size)
    return replace(blueprint, preprocessing=replace(blueprint.preprocessing, resize=resize))
