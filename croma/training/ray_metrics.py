"""Where a training stands, as gauges that Ray serves to Prometheus."""

from ray.util.metrics import Gauge

from croma.training.reporting import Line


class Gauges:
    """The gauges of one run; made in a Ray worker, by rank 0."""

    def __init__(self, run: str) -> None:
        self._tags = {"run": run}
        described = {
            "step": "Optimiser steps done",
            "steps": "Optimiser steps in all",
            "loss": "Loss of the last step",
            "samples_per_second": "Chips learnt from a second, over all workers",
            "seconds_left": "Seconds to the last step at this pace",
            "waiting": "Share of the last step spent waiting for data",
            "checkpoint_time": "Unix time of the newest checkpoint",
        }
        self._gauges = {
            name: Gauge(f"croma_{name}", description=description, tag_keys=("run",))
            for name, description in described.items()
        }

    def tell(self, line: Line) -> None:
        """Set the gauges to where the run stands."""
        for name, gauge in self._gauges.items():
            gauge.set(float(getattr(line, name)), tags=self._tags)
