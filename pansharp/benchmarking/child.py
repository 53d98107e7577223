"""Entry of the child process: a job as JSON on stdin, its rows as JSON into a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pansharp.benchmarking.job import Job

__all__ = ["main"]


def main(target: str) -> None:
    """Run the job on stdin and write its rows to `target`."""
    from pansharp.benchmarking.execute import run_job

    rows = run_job(Job.from_json(sys.stdin.read()))
    Path(target).write_text(json.dumps(rows), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
