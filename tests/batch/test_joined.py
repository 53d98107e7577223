"""What a batch takes from its other rooms: STAC items, forecast, row bands, GPUs."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from batch.archives import Start, assert_clean, events_of, only, products
from batch.engine import Client
from pansharp.batch import plan_batch, run_batch
from pansharp.batch.cluster import Engine
from pansharp.cli import main
from pansharp.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch, scratch: Path) -> Client:
    fake = Client()
    monkeypatch.setattr("pansharp.batch.cluster.open_engine", fake.open)
    return fake


def test_every_product_has_its_item(archive: Path, tmp_path: Path, client: Client) -> None:
    output = tmp_path / "out"
    run_batch(archive, "exp", output=output)
    made = sorted(output.glob("*_exp.tif"))
    assert len(made) == 4
    for product in made:
        item = json.loads((output / f"{product.name}.stac.json").read_text())
        assert item["type"] == "Feature"
        paths = {asset["href"].removeprefix("./") for asset in item["assets"].values()}
        assert paths == {product.name, f"{product.name}.card.json"}
    (output / f"{made[0].name}.stac.json").unlink()
    assert run_batch(archive, "exp", output=output).did == 1
    assert (output / f"{made[0].name}.stac.json").exists()
    assert run_batch(archive, "exp", output=output).did == 0
    # Without a card there is nothing to say, and what was said is gone.
    run_batch(archive, "exp", output=output, card=False)
    assert not list(output.glob("*.json.stac.json"))
    assert {path.name for path in output.glob("*.json")} == {"summary.json"}


def test_forecast(archive: Path, tmp_path: Path, client: Client) -> None:
    given: dict[str, Any] = {"output": tmp_path / "out", "workers": 2}
    cheap = plan_batch(archive, "brovey", card=False, **given).forecast()
    dear = plan_batch(archive, "rescnn", **given).forecast()
    assert cheap is not None
    assert dear is not None
    assert cheap.scenes == 6
    assert 0 < cheap.opened <= 6
    assert dear.cpu_seconds > 3 * cheap.cpu_seconds
    assert dear.peak_mib > cheap.peak_mib
    assert 0 < cheap.wall_seconds < cheap.cpu_seconds
    assert cheap.factor == 1.0
    assert not (tmp_path / "out").exists()
    # What is done says how this machine compares.
    run_batch(archive, "exp", output=tmp_path / "out", card=False)
    done = plan_batch(archive, "exp", card=False, **given)
    assert done.todo == []
    assert done.forecast() is None
    min((tmp_path / "out").glob("*.tif")).unlink()
    again = plan_batch(archive, "exp", card=False, **given).forecast()
    assert again is not None
    assert (again.scenes, again.opened) == (1, 1)
    assert again.factor != 1.0
    arguments = ["batch", str(archive), "-m", "gsa", "-o", str(tmp_path / "new"), "--dry-run"]
    told = CliRunner().invoke(main, [*arguments, "--json"])
    assert json.loads(told.stdout)["forecast"]["scenes"] == 6
    assert "of processor time" in CliRunner().invoke(main, arguments).stdout


def test_split_scenes_are_the_same_bytes(
    archive: Path, tmp_path: Path, start: Start, scratch: Path
) -> None:
    one = next(archive.glob("wv1"))
    for split in ("never", "always"):
        events = events_of(start(one, "-m", "mtf-glp-fs", "-o", tmp_path / split, "--split", split))
        assert events[-1]["code"] == 0, events[-1]["stderr"]
        assert [event["status"] for event in only(events, "scene")] == ["done"]
        assert_clean(tmp_path / split, scratch)
    assert products(tmp_path / "always") == products(tmp_path / "never")
    log = "".join(path.read_text() for path in (tmp_path / "always" / "logs").iterdir())
    assert "in row bands on all workers" in log


def test_a_small_worker_splits_what_does_not_fit(
    archive: Path, tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pansharp.batch import job
    from pansharp.options import FuseOptions
    from pansharp.readers import open_scene

    run_batch(next(archive.glob("wv1")), "exp", output=tmp_path / "out", card=False)
    given = client.jobs[0]
    scene = open_scene(given.path)
    options = FuseOptions.checked(model="exp", workers=1)

    def splits(**change: Any) -> bool:
        from dataclasses import replace

        return job._splits(replace(given, **change), scene, options)

    assert given.split == "auto"
    assert not splits(memory=None)
    assert not splits(memory=8 << 30)
    assert splits(memory=64 << 20)
    assert not splits(memory=64 << 20, split="never")
    assert not splits(memory=64 << 20, resources={"GPU": 1})
    scene.close()


def test_networks_ask_for_a_gpu_and_classical_scenes_do_not(
    archive: Path, tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[object, str]] = []

    class Noting(Client):
        gpus = 1

        def submit(self, function: Any, job: Any, *, key: str, **given: Any) -> Any:
            asked.append((given["resources"], job.fuse["device"]))
            return super().submit(function, job, key=key, **given)

        @contextmanager
        def open(self, *_: object, **__: object) -> Iterator[Engine]:
            yield Engine(self, None, None, embedded=True, gpus=self.gpus)

    fake = Noting()
    fake.work = lambda job: {"status": "failed", "reason": "not tried", "passing": True}
    monkeypatch.setattr("pansharp.batch.cluster.open_engine", fake.open)
    for model in ("rescnn", "gsa"):
        run_batch(archive, model, output=tmp_path / model)
    assert set(map(str, asked)) == {"({'GPU': 1}, 'cuda')", "(None, 'cpu')"}
    fake.gpus = 0
    with pytest.raises(OptionError, match="no worker offers a GPU"):
        run_batch(archive, "rescnn", output=tmp_path / "none", device="cuda")
