"""Make the embedded set ``digits`` from the copy that scikit-learn carries.

python scripts/make_digits.py writes hpcfed/datasets/data/digits.npz. The images are the test
part of E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits (1998), UCI Machine
Learning Repository, https://doi.org/10.24432/C50P49, licensed CC BY 4.0; changed: cut into the
forms that were filled in one after the other.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from hpcfed.base.atomic import replacing

TARGET = Path(__file__).parents[1] / "hpcfed" / "datasets" / "data" / "digits.npz"
# Where a form begins: the sequence of labels is that of the same preprinted form, over and over.
FORMS = (0, 130, 256, 386, 516, 646, 776, 906, 1029, 1157, 1287, 1415, 1545, 1667)
LICENCE = (
    "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits (1998), UCI Machine "
    "Learning Repository, https://doi.org/10.24432/C50P49. CC BY 4.0, "
    "https://creativecommons.org/licenses/by/4.0/. Changed: cut into forms."
)


def main() -> None:
    """Write the file."""
    digits = load_digits()
    with replacing(TARGET) as stream:
        np.savez_compressed(
            stream,
            pixels=digits.images.astype(np.uint8),
            labels=digits.target.astype(np.uint8),
            forms=np.searchsorted(FORMS, np.arange(len(digits.target)), "right").astype(np.uint8)
            - 1,
            licence=np.array(LICENCE),
        )


if __name__ == "__main__":
    main()
