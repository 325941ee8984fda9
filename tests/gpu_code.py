"""Compile the GPU engine's kernels for a GPU that is not there; print what their code takes up.

python tests/gpu_code.py ARCH NETWORK...    (80 or 90; names in NETWORKS, or images)

The launches are those of a training step, their arguments on the CPU: only the driver, whom Triton
asks what to compile for, is ours. One line of JSON for each kernel of each network; what networks
have in common is compiled once.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator

from gpu_image_code import image_launches

NETWORKS = {
    "recurrent": {},
    "feed-forward": {"model": {"recurrent": False}},
    "everything": {
        "data": {"time_jitter": 0.1, "channel_jitter": 9, "drop": 0.1},
        "model": {
            "hidden": [128, 128],
            "neuron": "alif",
            "readout": "max",
            "surrogate": "tanh",
            "reset_gradient": "full",
        },
        "client": {"clip_norm": 1.0, "proximal": 0.1, "weight_decay": 0.1, "rate_lower": 0.1},
    },
    "wide": {"model": {"hidden": [256]}},
    "taught": {"client": {"teacher": "run.h5"}},
    "taught, maximum": {"model": {"readout": "max"}, "client": {"teacher": "run.h5"}},
    "masks": {},
}


def main() -> None:
    arch, networks = int(sys.argv[1]), sys.argv[2:]
    with tempfile.TemporaryDirectory() as cache:  # what lies in a cache is not compiled again
        os.environ |= {"TRITON_CACHE_DIR": cache, "TRITON_DUMP_PTXAS_LOG": "1"}
        known: dict[str, dict[str, object]] = {}
        for network in networks:
            for code in compiled(arch, network, known):
                print(json.dumps({"network": network} | known[code]))


def compiled(arch: int, network: str, known: dict[str, dict[str, object]]) -> list[str]:
    """Compile a network's kernels; return their hashes, and add the facts of new ones."""
    hashes = []
    compile_for(arch)
    for launch in image_launches() if network == "images" else launches(arch, network):
        log = io.StringIO()
        with contextlib.redirect_stdout(log):
            code = launch.kernel.warmup(*launch.arguments, grid=launch.grid, **launch.options)
        if code.hash not in known:
            known[code.hash] = facts(launch, code, log.getvalue())
        hashes.append(code.hash)
    return list(dict.fromkeys(hashes))


def facts(launch: object, code: object, log: str) -> dict[str, object]:
    registers = re.findall(r"Used (\d+) registers", log)
    spills = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", log)
    return {
        "kernel": launch.kernel.fn.__name__,
        "warps": launch.warps,
        "registers": int(registers[-1]),
        "spilled": sum(map(int, spills[-1])),
        "shared": code.metadata.shared,
    }


def compile_for(arch: int) -> None:
    from triton.backends.compiler import GPUTarget
    from triton.runtime import driver

    class NoGpu:
        """A driver that only says what to compile for."""

        def get_current_device(self) -> int:
            return 0

        def get_current_stream(self, device: int) -> int:
            return 0

        def get_current_target(self) -> GPUTarget:
            return GPUTarget("cuda", arch, 32)

    driver.set_active(NoGpu())


def launches(arch: int, network: str) -> Iterator[object]:
    import torch

    from hpcfed.config import Experiment
    from hpcfed.learning.gpu.events import Packed
    from hpcfed.learning.gpu.launch import Launch
    from hpcfed.learning.gpu.philox import count_let_through, take_let_through
    from hpcfed.learning.gpu.plan import AMPERE, HOPPER, plan
    from hpcfed.learning.gpu.steps import Batches, step_launches
    from hpcfed.learning.gpu.work import Size, make_work
    from hpcfed.networks.stack import dense_layout

    if network == "masks":
        whole, update = torch.zeros(6, dtype=torch.int64), torch.zeros(5000)
        yield Launch(count_let_through, (5,), (whole, whole, whole, 5000), {}, 4)
        yield Launch(take_let_through, (5,), (update, update, whole, whole, whole, 5000), {}, 4)
        return
    tables = {
        section: NETWORKS[network].get(section, {}) for section in ("data", "model", "client")
    }
    tables["model"] = {"recurrent": True} | tables["model"]
    experiment = Experiment.model_validate(tables)
    places = dense_layout(experiment.model, 700, 20)
    cells = torch.zeros(4, 100, 11, dtype=torch.int64)
    labels, offsets = torch.zeros(4, dtype=torch.int32), torch.zeros(4, 101, dtype=torch.int32)
    taught = experiment.client.teacher is not None
    packed = Packed(cells, labels, offsets, torch.zeros(4 if taught else 0, 20))
    whole = plan(experiment, places, 700, AMPERE if arch == 80 else HOPPER)
    work = make_work(whole, experiment, Size(clients=5, slots=32, steps=2), packed, learn=True)
    for launch in step_launches(Batches(whole, experiment, packed, work, learn=True), 1):
        if not taught or launch.kernel.fn.__name__.startswith("read_"):  # no other knows a teacher
            yield launch


if __name__ == "__main__":
    main()
