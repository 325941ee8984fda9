"""A whole local training as one CUDA graph: started once, instead of some ten times a step."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

from hpcfed.learning.gpu.events import Packed
from hpcfed.learning.gpu.launch import Launch
from hpcfed.learning.gpu.work import Buffers


class Graphs:
    """The graphs captured in one work space; they go when another one takes its place.

    The first training starts its kernels one by one, which compiles them. From then on a graph is
    captured for each number of steps and started again. A CPU has no graphs.
    """

    def __init__(self) -> None:
        self._work: Buffers | None = None
        self._graphs: dict[tuple[int, int], torch.cuda.CUDAGraph] = {}

    def clear(self) -> None:
        """Forget all graphs."""
        self._work = None
        self._graphs.clear()

    def run(
        self,
        work: Buffers,
        packed: Packed,
        num_steps: int,
        launches: Callable[[int], Iterable[Launch]],
    ) -> None:
        """Run the ``launches`` of steps 0 to ``num_steps`` on samples that stay where they are."""

        def start() -> None:
            for step in range(num_steps):
                for launch in launches(step):
                    launch.run()

        if self._work is not work:
            self.clear()
            start()
            self._work = work if work.weights.device.type != "cpu" else None
            return
        key = (id(packed), num_steps)
        if key not in self._graphs:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                start()
            self._graphs[key] = graph
        self._graphs[key].replay()
