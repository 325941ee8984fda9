"""The kernels' code for GPUs that are not there, at 700-128-20: registers and memory suffice.

sm_80 is an A100, sm_90 an H100 or H200. A program may have 255 registers a thread, and 163 or 227
KiB of shared memory (CUDA C++ Programming Guide, technical specifications by compute capability).
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys

import pytest

from tests.places import REPOSITORY

SHARED = {80: 163 * 1024, 90: 227 * 1024}
SPILLED = {80: 64, 90: 0}  # bytes; an older Triton spills some once, outside of what is repeated
LARGE = ("recurrent", "everything", "masks")
WHOLE = (*LARGE, "feed-forward", "images")
NETWORKS = {80: LARGE, 90: (*WHOLE, "wide", "taught", "taught, maximum")}
FITTING = [(arch, network) for arch, networks in ((80, LARGE), (90, WHOLE)) for network in networks]


@functools.cache
def compiled(arch: int) -> list[dict[str, object]]:
    """Compile in a process of its own: this one may have asked for Triton's interpreter."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, str(REPOSITORY / "tests/gpu_code.py"), str(arch), *NETWORKS[arch]]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=REPOSITORY)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def kernels(arch: int, network: str) -> list[dict[str, object]]:
    found = [one for one in compiled(arch) if one["network"] == network]
    assert found
    return found


def steps(arch: int, network: str) -> list[object]:
    return [found["kernel"] for found in kernels(arch, network)]


@pytest.mark.parametrize(("arch", "network"), FITTING)
def test_no_kernel_spills_registers_or_needs_more_than_a_processor_has(
    arch: int, network: str
) -> None:
    for one in kernels(arch, network):
        assert one["registers"] <= 255, one
        assert one["shared"] <= SHARED[arch], one
        assert one["spilled"] <= SPILLED[arch], one


def test_a_step_is_made_of_these_kernels() -> None:
    assert steps(90, "recurrent") == [
        "split_weights", "project", "forward", "read_summed", "backward", "weight_gradient",
        "weight_gradient", "optimise",
    ]  # fmt: skip
    assert {"change", "penalise", "read_maximum", "propagate", "squares"} <= set(
        steps(90, "everything")
    )


def test_a_step_of_images_is_made_of_these_kernels_beside_convolutions() -> None:
    assert set(steps(90, "images")) == {
        *("measure", "join", "fire", "fire_back", "add_inflow", "show", "squares", "optimise"),
    }


@pytest.mark.parametrize("arch", [80, 90])
def test_recurrent_weights_of_128_neurons_stay_in_shared_memory(arch: int) -> None:
    """As three terms of two bytes forward, and as two on the way back."""
    shared = {one["kernel"]: one["shared"] for one in kernels(arch, "recurrent")}
    assert shared["forward"] >= 3 * 2 * 128 * 128
    assert shared["backward"] >= 2 * 2 * 128 * 128


def test_layers_of_256_neurons_have_code_as_well() -> None:
    arch = 90
    found = kernels(arch, "wide")
    assert {"forward", "backward"} <= {one["kernel"] for one in found}
    assert all(one["shared"] <= SHARED[arch] for one in found)
    assert all(one["registers"] <= 255 for one in found)


@pytest.mark.parametrize("network", ["taught", "taught, maximum"])
def test_a_readout_that_learns_from_a_teacher_spills_nothing(network: str) -> None:
    (found,) = kernels(90, network)
    assert found["spilled"] == 0
    assert found["shared"] <= SHARED[90]
