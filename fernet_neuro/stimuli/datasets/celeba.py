"""CelebA, aligned and cropped, as its owners distribute it.

What belongs here: the CelebA layout, its identity and partition files, and the lab's central crop.

References
----------
.. [1] Liu, Z., Luo, P., Wang, X., & Tang, X. (2015). Deep learning face attributes in the wild. ICCV,
   3730-3738.
"""

import re
from pathlib import Path

from fernet_neuro.exceptions import StimulusError
from fernet_neuro.stimuli.datasets.labels import read_label_list
from fernet_neuro.stimuli.datasets.report import Demands, LeftOut, Listing, find_one, list_files, sort_out

#: Width and height in pixels of every aligned photograph.
SIZE = (178, 218)
#: Side in pixels of the central square that the lab cut out before resizing.
CENTER_CROP = 178
#: Codes of list_eval_partition.txt.
PARTS = {"0": "train", "1": "val", "2": "test"}
LICENCE = "CelebA: non-commercial research; not redistributable"

_COLUMNS = ("stimulus_id", "path", "identity", "split", "center_crop", "licence")
_NAME = re.compile(r"\d{6}\.jpg")
# The owners' drive nests by kind; torchvision keeps all in one folder; one mirror nests the folder in itself.
_IMAGES = ("Img/img_align_celeba", "img_align_celeba")
_IDENTITIES = ("Anno/identity_CelebA.txt", "identity_CelebA.txt")
_PARTITIONS = ("Eval/list_eval_partition.txt", "list_eval_partition.txt")


def list_celeba(src: Path) -> Listing:
    """List ``img_align_celeba/000001.jpg`` with ``identity_CelebA.txt`` and ``list_eval_partition.txt``.

    Left out: files that are not six digits and ``.jpg``, files without an identity, and with `verify` damaged
    files and other sizes than 178 x 218. Files that the identity list names and the folder lacks are listed
    as missing.

    `src`: the owners' folder (``Img``, ``Anno``, ``Eval``), or one folder with all three. Returns a Listing:
    stimulus ids such as ``000001``; further columns ``split`` (empty without a partition file),
    ``center_crop`` (side of the lab's central square, px) and ``licence``. Raises StimulusError if the images
    or the identities are not there, a list is malformed, or nothing is usable.
    """
    images = find_one(src, _IMAGES, "folder img_align_celeba")
    if (images / "img_align_celeba").is_dir():
        images = images / "img_align_celeba"
    people = read_label_list(find_one(src, _IDENTITIES, "file identity_CelebA.txt"))
    identities = people.labels
    partitions = _read_partitions(src)
    names, left_out = sort_out(images, list_files(images))
    rows = []
    for name in names:
        if not _NAME.fullmatch(name):
            left_out.append((name, "misnamed: expected six digits and .jpg"))
        elif name not in identities:
            left_out.append((name, "no identity: not in identity_CelebA.txt"))
        elif partitions and name not in partitions:
            left_out.append((name, "no part: not in list_eval_partition.txt"))
        else:
            part = PARTS[partitions[name]] if partitions else ""
            rows.append((name[:6], name, identities[name], part, CENTER_CROP, LICENCE))
    missing: list[LeftOut] = [
        (name, "missing: in identity_CelebA.txt but not on disk") for name in identities.keys() - set(names)
    ]
    return Listing(images, _COLUMNS, rows, left_out + missing + people.repeats, Demands(size=SIZE))


def _read_partitions(source: Path) -> dict[str, str]:
    if not any((source / name).is_file() for name in _PARTITIONS):
        return {}
    path = find_one(source, _PARTITIONS, "file list_eval_partition.txt")
    partitions = read_label_list(path).labels
    wrong = next((f"{name} {code}" for name, code in partitions.items() if code not in PARTS), None)
    if wrong is not None:
        raise StimulusError(f"{path}: a part must be 0, 1 or 2; got {wrong!r}.")
    return partitions
