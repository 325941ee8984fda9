"""The hyper-parameters of a population's member from round 0 on."""

from __future__ import annotations

from hpcfed.config.stages import stages_text
from hpcfed.config.tables import Point
from hpcfed.records.ranking import lineage
from hpcfed.records.searched import Item
from hpcfed.sweep.search.folder import SearchFolder


def schedule(items: list[Item], item: Item) -> list[tuple[int, Point]]:
    """Return until which round which point was trained with; stages that are alike are one."""
    found: list[tuple[int, Point]] = []
    for one in lineage(items, item):
        if found and found[-1][1] == one.point:
            found.pop()
        found.append((one.rounds, one.point))
    return found


def schedule_text(folder: SearchFolder, item: Item) -> str:
    """Return the schedule of a member as a file, see hpcfed.config.stages."""
    experiment = folder.run(item.number).experiment
    return stages_text(experiment, schedule(folder.items, item))
