"""MLflow: a run on the server, or in the local store, that MLFLOW_TRACKING_URI names."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hpcfed.tracking.tracker import TrackedRun

if TYPE_CHECKING:
    from mlflow import MlflowClient

TAG = "hpcfed.run"
_MOST_PARAMS = 100  # of one call
_LONGEST_PARAM = 500
_WITNESS = "uplink_values"  # a figure that every round has: it tells which rounds are known
_STATUS = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}


class Writer:
    """The run whose tag has this run's identity; made if there is none."""

    def open(self, run: TrackedRun) -> None:
        """Find or make the run. A new one gets the configuration, which MLflow never changes."""
        from mlflow import MlflowClient

        self._client: MlflowClient = MlflowClient()
        experiment = self._experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME") or run.name)
        found = self._client.search_runs([experiment], f"tags.`{TAG}` = '{run.identity}'")
        self._known: set[int] = set()
        if found:
            self._id = found[0].info.run_id
            self._client.update_run(self._id, status="RUNNING")
            self._known = {m.step for m in self._client.get_metric_history(self._id, _WITNESS)}
            return
        tags = {TAG: run.identity, "hpcfed.folder": str(run.folder.resolve())}
        made = self._client.create_run(experiment, tags=tags, run_name=run.folder.resolve().name)
        self._id = made.info.run_id
        self._log_params(run)

    def log(self, round_number: int, values: Mapping[str, float]) -> None:
        """Send the figures in one call."""
        from mlflow.entities import Metric

        if round_number not in self._known:
            now = time.time_ns() // 10**6
            metrics = [Metric(name, value, now, round_number) for name, value in values.items()]
            self._client.log_batch(self._id, metrics=metrics)

    def close(self, status: str) -> None:
        """End the run with its status."""
        self._client.set_terminated(self._id, _STATUS[status])

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name))
            except MlflowException:  # another run of the sweep has just made it
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)

    def _log_params(self, run: TrackedRun) -> None:
        from mlflow.entities import Param

        params = [Param(key, str(value)[:_LONGEST_PARAM]) for key, value in run.keys.items()]
        for start in range(0, len(params), _MOST_PARAMS):
            self._client.log_batch(self._id, params=params[start : start + _MOST_PARAMS])
