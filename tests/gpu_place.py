"""Where tests of the GPU engine run: on a GPU if there is one, else in Triton's interpreter.

It must be imported before the engine: Triton reads its setting when a kernel is defined.
"""

from __future__ import annotations

import os

import torch

DEVICE = "cuda:0" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":
    os.environ["TRITON_INTERPRET"] = "1"
