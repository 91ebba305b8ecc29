"""Stage 2 of the dual-pathway network: fast perception learns from labels and from emotion concepts.

What belongs here: the perceptual pathway's loss [1, Eq. 13] and the regimes; where the teacher's part comes
from is in `guidance`, the terms are in `losses`.

References
----------
[1] Lu, H., Zhuang, X. & Luo, Q. (2024). A brain-inspired way of reducing the network complexity via
    concept-regularized coding for emotion recognition. AAAI.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fernet_neuro._utils.validation import format_options
from fernet_neuro.losses.disentanglement import similarity_loss
from fernet_neuro.losses.distillation import masked_kl_divergence
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.crpn.concept_bank import ConceptBank, build_concept_bank
from fernet_neuro.systems.crpn.guidance import Guidance
from fernet_neuro.systems.crpn.networks import PerceptualFeatures, PerceptualPathway, load_trunk
from fernet_neuro.systems.crpn.settings import PerceptionSettings, pick_form
from fernet_neuro.systems.crpn.teacher import Teacher, read_teacher
from fernet_neuro.training.classification import ClassificationTask
from fernet_neuro.training.config import TrainSettings
from fernet_neuro.training.expression import split_expressions
from fernet_neuro.training.task import Items

Term = Callable[[PerceptualFeatures, Tensor, dict[str, Tensor]], Tensor]


@dataclass
class PerceptionTask(ClassificationTask):
    """Name the expression, with features and logits drawn to those of a conceptual pathway.

    The logged terms are unweighted: ``cross_entropy`` (L_CE), ``similarity`` (L_S) and ``distillation``
    (L_D); one whose weight is 0, or that the regime has no use for, is neither computed nor logged.

    Parameters
    ----------
    perception : PerceptionSettings
    variant : {"recommended", "paper", "released"}
        Gives the forms that `perception` leaves open.
    guidance : Guidance or None
        None in regime "perceptual", which has none.

    Raises
    ------
    ValueError
        If all weights are 0, regime and guidance do not fit, or the teacher's classes are not the student's.
    StimulusError
        See `ClassificationTask`.

    Notes
    -----
    With several processes the distillation is averaged over the confident images of each process's share of a
    batch, and gradients are averaged, as in the authors' own training on four GPUs.
    """

    perception: PerceptionSettings = field(default_factory=PerceptionSettings)
    variant: str = "recommended"
    guidance: Guidance | None = None
    best_metric: str = "balanced_accuracy"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_guidance()
        weights, terms = self._list_weights(), self._list_terms()
        self.part_weights = {name: weight for name, weight in weights.items() if weight > 0}
        self._terms = {name: terms[name] for name in self.part_weights}
        if not self._terms:
            raise ValueError(
                f"all weights of the loss in regime {self.perception.regime!r} are 0, so nothing would be "
                f"learnt; give {' or '.join(f'{name}_weight' for name in weights)}."
            )

    def prepare_run(
        self, folder: Path, device: torch.device, *, n_jobs: int = 0, verbose: bool = False
    ) -> None:
        """Make the concept bank or find the one made before, and bring a live teacher to `device`."""
        if self.guidance is not None:
            self.guidance.prepare(self.train_table, folder, device, n_jobs, verbose)

    def plan_epoch(self, epoch: int) -> Items:
        """Return all training images, with what the bank says of them and what the epoch draws from it."""
        items = super().plan_epoch(epoch)
        return items if self.guidance is None else self.guidance.plan(items, epoch)

    def observe(self, pixels: Tensor) -> dict[str, Tensor]:
        """Return what a live teacher makes of the pixels."""
        return {} if self.guidance is None else self.guidance.observe(pixels)

    def forward(self, network: nn.Module, images: Tensor) -> PerceptualFeatures:
        """Return features and logits of the images to learn, without those that concepts are made of."""
        step = 1 if self.guidance is None else self.guidance.n_images
        return network(images[::step], full=True)

    def predict(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return logits (n_images, n_classes)."""
        return network(images)

    def compute_loss(
        self, outputs: PerceptualFeatures, targets: Tensor, extras: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return the weighted sum of the terms, and each term by name, unweighted [1, Eq. 13]."""
        return self.sum_parts({name: term(outputs, targets, extras) for name, term in self._terms.items()})

    def describe(self) -> dict[str, Any]:
        """Return what `ClassificationTask` does, the regime, its teacher, and each term's weight and form."""
        forms = {"similarity": pick_form(self.variant, self.perception, "similarity")}
        terms = {
            name: {"weight": weight, "form": forms.get(name, "")}
            for name, weight in self.part_weights.items()
        }
        return {
            **super().describe(),
            "variant": self.variant,
            "regime": self.perception.regime,
            **({} if self.guidance is None else self.guidance.describe()),
            "loss_terms": terms,
        }

    def input_digests(self) -> dict[str, str | None]:
        """Return digests of the teacher's weights and of a bank that was given."""
        return {} if self.guidance is None else self.guidance.input_digests()

    def prepare_model(self, model: LayeredModel) -> LayeredModel:
        """Return the network with a trained trunk in its place.

        Raises ValueError if it is not a perceptual pathway, has other outputs or features than its teacher,
        or a live teacher would see other parts of an image than it does; StoreError if the trunk's weights
        cannot be read or do not fit.
        """
        if not isinstance(model.module, PerceptualPathway):
            raise ValueError(
                f"task 'perception' trains a perceptual pathway, and model {model.card.name!r} is none; use "
                f"model: crpn-perceptual."
            )
        model = super().prepare_model(model)
        if self.guidance is not None:
            self.guidance.check_student(model)
        if not {"cross_entropy", "distillation"} & set(self._terms):
            model.module.logits.requires_grad_(False)  # no term reaches it
        source = self.perception.trunk_weights
        return model if source is None else load_trunk(model, "perceptual", source)

    def _list_weights(self) -> dict[str, float]:
        settings = self.perception
        weights = {"cross_entropy": settings.cross_entropy_weight}
        if settings.regime != "perceptual":
            weights["similarity"] = settings.similarity_weight
            weights["distillation"] = settings.distillation_weight
        return weights

    def _list_terms(self) -> dict[str, Term]:
        form = pick_form(self.variant, self.perception, "similarity")
        terms: dict[str, Term] = {
            "cross_entropy": lambda outputs, targets, _: functional.cross_entropy(outputs.logits, targets),
            # "distillation", the regime, has no mask: every image counts.
            "distillation": lambda outputs, _, extras: masked_kl_divergence(
                outputs.logits, extras["teacher_logits"], extras.get("confident")
            ),
        }
        guidance = self.guidance
        if guidance is not None:
            terms["similarity"] = lambda outputs, _, extras: similarity_loss(
                outputs.perceptual, guidance.find_aims(extras), form=form
            )
        return terms

    def _check_guidance(self) -> None:
        regime = self.perception.regime
        if regime == "perceptual":
            if self.guidance is not None or self.perception.conceptual or self.perception.bank:
                raise ValueError(
                    "regime 'perceptual' learns from labels alone; leave perception.conceptual and .bank "
                    "out, or take regime 'distillation' or 'crpn'."
                )
            return
        if self.guidance is None:
            raise ValueError(
                f"regime {regime!r} needs a teacher: give perception.conceptual, the run folder of a "
                f"conceptual pathway, or take regime 'perceptual'."
            )
        if self.guidance.teacher.classes != self.classes:
            raise ValueError(
                f"the teacher tells apart {format_options(self.guidance.teacher.classes)}, and the training "
                f"stimuli show {format_options(self.classes)}; both need the same expressions, by name."
            )


def make_perception(
    settings: TrainSettings, table: StimulusTable, val_table: StimulusTable | None = None
) -> PerceptionTask:
    """Return stage 2 over the expressions of `table`; see `split_expressions` for what is held out.

    A bank that the recipe names may be of the whole `table` or of the part that is trained on; its thresholds
    are taken over that part.

    Raises StimulusError if validation shows someone who is trained on, unless ``val_by`` is not about
    identity; StoreError if teacher or bank cannot be read; ValueError if the bank is of another teacher or
    table; see also `PerceptionTask`.
    """
    perception = settings.own(PerceptionSettings)
    train, val, held_out = split_expressions(settings, table, val_table)
    guidance = None
    if perception.regime != "perceptual" and perception.conceptual:
        teacher = read_teacher(perception.conceptual)
        bank = _read_bank(perception.bank, teacher, table, train)
        guidance = Guidance(teacher, perception, settings.variant, settings.seed, bank)
    return PerceptionTask(
        "expression",
        train,
        val,
        held_out=held_out,
        perception=perception,
        variant=settings.variant,
        guidance=guidance,
    )


def share_bank(
    settings: TrainSettings, table: StimulusTable, store: Path, *, verbose: bool, device: str
) -> TrainSettings:
    """Return settings with the bank over `table` that runs of one teacher share, made once in `store`."""
    perception = settings.own(PerceptionSettings)
    if perception.regime == "perceptual" or not perception.conceptual or perception.bank:
        return settings
    run, teacher = Path(perception.conceptual), read_teacher(perception.conceptual)
    place = store / "banks" / run.parent.name / run.name
    if not place.exists():
        bank = build_concept_bank(
            teacher.model, table, classes=teacher.classes, verbose=verbose, device=device
        )
        bank.save(place)
    return settings.with_section(bank=str(place))


def _read_bank(
    place: str | None, teacher: Teacher, table: StimulusTable, train: StimulusTable
) -> ConceptBank | None:
    if place is None:
        return None
    digests = list(dict.fromkeys((table.digest(), train.digest())))
    bank = ConceptBank.load(place, teacher_digest=teacher.model.weight_digest(), stimuli_digests=digests)
    return bank.select(train.stimulus_ids)
