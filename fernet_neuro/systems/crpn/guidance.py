"""What guides a perceptual pathway beside labels: a teacher's features and logits, kept or made on the spot.

What belongs here: where each image's guidance comes from [1, Eq. 10] and when; the loss that follows it is in
`perception`.

References
----------
[1] Lu, H., Zhuang, X. & Luo, Q. (2024). A brain-inspired way of reducing the network complexity via
    concept-regularized coding for emotion recognition. AAAI.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fernet_neuro._utils.seeding import make_rng
from fernet_neuro.exceptions import StoreError
from fernet_neuro.models.layers import LayeredModel
from fernet_neuro.models.preprocessing import Preprocessing
from fernet_neuro.stimuli.table import StimulusTable
from fernet_neuro.systems.crpn.concept_bank import ConceptBank, build_concept_bank
from fernet_neuro.systems.crpn.concept_draws import average_rows, draw_concept_rows
from fernet_neuro.systems.crpn.settings import PerceptionSettings, pick_form
from fernet_neuro.systems.crpn.teacher import Teacher
from fernet_neuro.training.folder import BANK_FOLDER, RunFolder
from fernet_neuro.training.state import find_checkpoints, remove_leftovers
from fernet_neuro.training.task import Items


@dataclass
class Guidance:
    """A teacher, its bank, and what a student is told of each image in each epoch.

    Which images are confident is decided once, by the bank; a live teacher changes only features and logits.

    `settings`: of regime "distillation" or "crpn". `variant`: one of "recommended", "paper", "released".
    `seed`: of the concepts drawn. `bank`: over the training images, in their order; without one `prepare`
    makes it where it is needed.
    """

    teacher: Teacher
    settings: PerceptionSettings
    variant: str = "recommended"
    seed: int = 0
    bank: ConceptBank | None = None

    def __post_init__(self) -> None:
        self._has_concepts = self.settings.regime == "crpn"
        self._is_live = pick_form(self.variant, self.settings, "teacher") == "live"
        source = pick_form(self.variant, self.settings, "concept_source")
        #: Whether concepts are made of images, which are shown beside each image to learn.
        self._shows_concepts = self._has_concepts and source == "images"
        self._given_bank = None if self.bank is None else self.bank.digest()

    @property
    def n_images(self) -> int:
        """Images per item: the one to learn, and those that a concept is made of."""
        return 1 + self.settings.n_concepts if self._shows_concepts else 1

    def input_digests(self) -> dict[str, str | None]:
        """Return digests of the teacher's weights and of a bank that was given."""
        return {"teacher": self.teacher.model.weight_digest(), "bank": self._given_bank}

    def describe(self) -> dict[str, object]:
        """Return plain values for the record."""
        values: dict[str, object] = {"teacher": "live" if self._is_live else "cached"}
        if self._has_concepts:
            values["concept_source"] = "images" if self._shows_concepts else "features"
            values |= {name: getattr(self.settings, name) for name in ("percentile", "n_concepts")}
        return values

    def check_student(self, model: LayeredModel) -> None:
        """Raise if `model` cannot learn from this teacher.

        Raises ValueError if it has another number of features, or a live teacher would see other parts of an
        image.
        """
        student: Any = model.module
        n_features = student.perceptual.head[-1].out_features
        if n_features != self.teacher.n_features:
            raise ValueError(
                f"the student has {n_features} features and its teacher {self.teacher.n_features}; set "
                f"model_options.n_features: {self.teacher.n_features}."
            )
        own, other = (_find_view(item) for item in (model.card.preprocessing, self.teacher.preprocessing))
        if own != other and (self._is_live or self._shows_concepts):
            raise ValueError(
                f"a live teacher sees the student's pixels: the student crops {own[0]} px out of {own[1]}, "
                f"its teacher {other[0]} out of {other[1]}. Set model_options.size: {other[0]} and .resize: "
                f"{other[1]}, or use teacher: cached with concept_source: features."
            )

    def prepare(
        self, table: StimulusTable, folder: Path, device: torch.device, n_jobs: int, verbose: bool
    ) -> None:
        """Make or find the bank over `table` in the run folder `folder`; bring a live teacher to `device`.

        Raises StoreError, ValueError if the bank in the folder is damaged, or of another teacher or table.
        """
        # A live teacher that is asked about every image needs no bank.
        if self.bank is None and (self._has_concepts or not self._is_live):
            self.bank = self._find_bank(table, folder / BANK_FOLDER, device, n_jobs, verbose)
        self.teacher.move(device if self._is_live or self._shows_concepts else "cpu")

    def plan(self, items: Items, epoch: int) -> Items:
        """Return `items`, all training images in order, with what is known of them beforehand.

        Raises ValueError if a bank is needed and not there yet, or a class has too few confident images.
        """
        if self._is_live and not self._has_concepts:
            return items
        if self.bank is None:
            raise ValueError("there is no concept bank yet; call prepare_run first.")
        known = {} if self._is_live else {"emotion": self.bank.emotion, "teacher_logits": self.bank.logits}
        if not self._has_concepts:
            return replace(items, extras=known)
        confident = self.bank.find_confident(self.settings.percentile)
        items = replace(items, extras={**known, "confident": confident})
        return self._add_concepts(items, epoch, self.bank)

    def observe(self, pixels: Tensor) -> dict[str, Tensor]:
        """Return a live teacher's features and logits, and the pixels of the images to make concepts of."""
        seen: dict[str, Tensor] = {}
        if self._is_live:
            concepts = self.teacher.observe(pixels[:: self.n_images])
            seen |= {"emotion": concepts.emotion, "teacher_logits": concepts.logits}
        if self._shows_concepts:
            # Copied: the student's normalisation may change its pixels in place.
            seen["concept_pixels"] = pixels.unflatten(0, (-1, self.n_images))[:, 1:].clone()
        return seen

    def find_aims(self, extras: dict[str, Tensor]) -> Tensor:
        """Return what each image's features are drawn to, (n, p) [1, Eq. 10]."""
        if not self._has_concepts:
            return extras["emotion"]
        concepts = self._encode_concepts(extras) if self._shows_concepts else extras["concepts"]
        return torch.where(extras["confident"][:, None], extras["emotion"], concepts)

    def _add_concepts(self, items: Items, epoch: int, bank: ConceptBank) -> Items:
        """Return `items` with the concepts of the images of low confidence, or the images to make them of."""
        low = np.flatnonzero(~items.extras["confident"])
        rng = make_rng(self.seed, "concepts", epoch)
        drawn = draw_concept_rows(bank, low, self.settings.n_concepts, self.settings.percentile, rng)
        if self._shows_concepts:
            # Confident images need no others; their own picture fills the places, and is not encoded.
            rows = np.repeat(items.rows, self.n_images, axis=1)
            rows[low, 1:] = drawn
            return replace(items, rows=rows)
        concepts = np.zeros_like(bank.emotion)
        concepts[low] = average_rows(bank.emotion, drawn)
        return replace(items, extras={**items.extras, "concepts": concepts})

    def _encode_concepts(self, extras: dict[str, Tensor]) -> Tensor:
        """Return the mean features of the concept images of each image of low confidence, 0 for others."""
        low = ~extras["confident"]
        concepts = torch.zeros_like(extras["emotion"])
        if low.any():
            pixels = extras["concept_pixels"][low]
            features = self.teacher.observe(pixels.flatten(0, 1)).emotion
            concepts[low] = features.unflatten(0, (len(pixels), -1)).mean(1)
        return concepts

    def _find_bank(
        self, table: StimulusTable, place: Path, device: torch.device, n_jobs: int, verbose: bool
    ) -> ConceptBank:
        """Return the run's own bank; one whose making was cut short is made from the start.

        So is one that does not fit, which a failed start left behind, as long as nothing was learnt from it.
        """
        remove_leftovers(place.parent)
        if place.exists():
            teacher = self.teacher.model.weight_digest()
            try:
                return ConceptBank.load(place, teacher_digest=teacher, stimuli_digests=[table.digest()])
            except (StoreError, ValueError):
                if find_checkpoints(RunFolder(place.parent).checkpoints):
                    raise
        bank = build_concept_bank(
            self.teacher.model,
            table,
            classes=self.teacher.classes,
            percentile=self.settings.percentile,
            n_jobs=n_jobs,
            verbose=verbose,
            device=device.type,
        )
        bank.save(place)
        return bank


def _find_view(preprocessing: Preprocessing) -> tuple[int, int]:
    """Return the side of the crop that a network sees, and of the image it is cut out of, in pixels."""
    return preprocessing.size, preprocessing.resize or preprocessing.size
