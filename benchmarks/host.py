"""This computer predicted by a calibration on two networks: the errors on a third one, measured in one run."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

FITTED = ("mobilenet_v1", "resnet50")
UNSEEN = "mobilenet_v2"
MOST_TOTAL, MOST_LAYERS = 0.05, 0.13


def main() -> None:
    """Print the errors on the network that was not fitted, and what was fitted."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        host, fitted = folder / "host.yaml", folder / "fitted.yaml"
        _perfsim("measure", "--host", "-o", host)
        files = {name: folder / f"{name}.csv" for name in (*FITTED, UNSEEN)}
        for name, file in files.items():
            _perfsim("measure", name, "-o", file)
        seen = [files[name] for name in FITTED]
        calibrated = _json("calibrate", *seen, "--hw", host, "-o", fitted)
        validated = _json("validate", files[UNSEEN], "--hw", fitted)
        base = _json("validate", files[UNSEEN], "--hw", host)
    for each in calibrated["fitted"]:
        print(f"{each['key']}: {each['before']} -> {each['value']}")
    print(f"rows fitted: {calibrated['fitted_rows']} of {calibrated['leave_one_out']['rows']}")
    print(f"leave-one-out error: {calibrated['leave_one_out']['mape']:.1%}")
    for name, record in (("as measured", base), ("calibrated", validated)):
        print(
            f"{UNSEEN}, {name}: total {record['networks']['bias']:+.1%} (at most {MOST_TOTAL:.0%}), "
            f"layers {record['layers']['mape']:.1%} (at most {MOST_LAYERS:.0%})"
        )
    print(f"measured times within their 90 % intervals: {validated['within_interval']:.0%}")


def _json(*arguments: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_perfsim(*arguments, "--format", "json"))
    return found


def _perfsim(*arguments: str | Path) -> str:
    """The output of a command; its warnings, such as of a busy computer, go to the terminal."""
    command = [sys.executable, "-m", "perfsim", *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
