"""The embedded images: handwritten digits, each by whoever filled in a form.

1797 images of 8 x 8 pixels and 17 grey levels: E. Alpaydin and C. Kaynak, Optical Recognition of
Handwritten Digits (1998), UCI Machine Learning Repository, doi:10.24432/C50P49, CC BY 4.0. They are
fourteen forms, filled in one after the other; the first ten are for training, and the last four,
which no client has, are the test.
"""

from __future__ import annotations

import io

import numpy as np

from hpcfed.samples.images import ImageSet

NUM_TRAINING_FORMS = 10
_MOST = 16  # pixels that are on in a block of 4 x 4


def digits(packed: bytes, split: str) -> ImageSet:
    """Return the images of ``split``, "train" or "test", from the embedded file's content."""
    with np.load(io.BytesIO(packed), allow_pickle=False) as file:
        pixels, labels, forms = (file[name] for name in ("pixels", "labels", "forms"))
    chosen = (forms < NUM_TRAINING_FORMS) == (split == "train")
    levels = np.round(np.arange(_MOST + 1) * 255 / _MOST).astype(np.uint8)
    used, groups = np.unique(forms[chosen], return_inverse=True)
    return ImageSet(
        pixels=levels[pixels[chosen]][:, None],
        labels=labels[chosen].astype(np.int64),
        groups=groups.astype(np.int64),
        class_names=tuple(str(digit) for digit in range(10)),
        group_names=tuple(f"form {number}" for number in used.tolist()),
    )
