"""How far networks get with a part of their steps, and from weights of a scene of their sensor.

    python benchmarks/adaptation.py              pairs in shared/data beside the checkout
    python benchmarks/adaptation.py --models rescnn --log FILE.jsonl
    python benchmarks/adaptation.py --warm --models rescnn    weights of one scene on another

Every figure is on blocks that no training saw, network and best classical method with two
back-projections each; rows are appended to the log as they come, and rows that stand there are not
measured again. HQNR and D_s are those of the product with all steps, and of the best classical.
"""

from __future__ import annotations

import json
import math
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import common
from networks import default_data, public_pairs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pansharp.adaptation.settings import Adapted, Start
    from pansharp.adaptation.trial import Trial
    from pansharp.scene import Scene

MODELS = ("rescnn", "ssft-small", "bugpan-small", "hetssnet-small")
SHARES = (0.25, 0.5, 1.0)
PASSES = 2
#: Scenes of one sensor: weights of the first start the second. Folder, file names, sensor.
KIN = (
    ("GaoFen-2, 0 to 1", "gaofen2_psdata3", "test_full_res_{0}_{1}.tif", (0, 1), "gaofen2"),
    ("GaoFen-2, 0 to 2", "gaofen2_psdata3", "test_full_res_{0}_{1}.tif", (0, 2), "gaofen2"),
    ("Landsat 8 chips, 5 to 6", "landsat8_chips", "{1}_{0}.tif", (5, 6), "landsat8_9"),
    ("WorldView-2 Rotterdam, 1 to 2", "worldview2_rotterdam", "{1}_{0}.tif", (1, 2), "worldview2"),
)
KIN_STEPS = (25, 50, 100, 200)


def trial_of(scene: Scene, model: str) -> Trial:
    """The scene at reduced resolution, registered, with the blocks of this network."""
    from pansharp.adaptation.trial import Trial
    from pansharp.models.networks import get_network
    from pansharp.options import FuseOptions
    from pansharp.registration import register

    found = register(scene, FuseOptions(), apply=True)
    return Trial(found.scene, found.facts, get_network(model).adaptation.budget)


def scores(trial: Trial, adapted: Adapted) -> dict[str, float]:
    """ERGAS and SAM of network and best classical method."""
    own = adapted.scores[PASSES].as_dict()
    best = trial.classical(trial.best_classical(PASSES), PASSES).as_dict()
    return {
        "ergas": own["ergas"],
        "sam": own["sam"],
        "best_ergas": best["ergas"],
        "best_sam": best["sam"],
    }


def fitted(trial: Trial, model: str, steps: int, start: Start | None = None) -> Adapted:
    """A network after so many steps, without the last training on everything."""
    from pansharp.adaptation.settings import AdaptSettings
    from pansharp.adaptation.trainings import Adaptation

    if not steps:
        return Adaptation(model, trial, AdaptSettings(start=start, frozen=True), None).run()
    run = Adaptation(model, trial, AdaptSettings(steps=steps, start=start), None)
    run.again = False
    return run.run()


def part_of_steps(scene: Scene, model: str, share: float) -> dict[str, Any]:
    """Scores and processor minutes after a part of the network's steps."""
    from pansharp.models.networks import get_network

    trial = trial_of(scene, model)
    recipe = get_network(model).adaptation
    steps = round(share * (recipe.steps if trial.selects else recipe.steps_unselected))
    begin = time.process_time()
    adapted = fitted(trial, model, steps)
    return {
        "steps": steps,
        **scores(trial, adapted),
        "minutes": (time.process_time() - begin) / 60,
    }


def whole(scene: Scene, model: str) -> dict[str, Any]:
    """The product as `fuse` makes it, with its card's figures at full resolution."""
    from pansharp.options import FuseOptions
    from pansharp.outcome import decide

    begin = time.process_time()
    outcome = decide(
        scene,
        FuseOptions.checked(model=model, backproject=PASSES, workers=1, force=True),
        folder=None,
    )
    full, trial, adapted = outcome.full, outcome.trial, outcome.adapted
    outcome.close()
    assert trial is not None
    assert adapted is not None
    ours, theirs = full[f"model+bp{PASSES}"], full[f"best_classical+bp{PASSES}"]
    return {
        "steps": adapted.facts["steps"],
        **scores(trial, adapted),
        "minutes": (time.process_time() - begin) / 60,
        "classical": trial.best_classical(PASSES),
        **{f"{key}": ours[key] for key in ("hqnr", "d_s")},
        **{f"best_{key}": theirs[key] for key in ("hqnr", "d_s")},
    }


def runs(options: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Names of each measurement, and what measures it."""
    from pansharp.readers import open_scene

    if options.warm:
        yield from kin_runs(options)
        return
    for model in options.models:
        for pair in public_pairs(options.data):
            for share in SHARES:
                name = {"pair": pair.name, "model": model, "share": share}

                def measure(pair: Any = pair, model: str = model, share: float = share) -> Any:
                    scene = open_scene(pan=pair.pan, ms=pair.ms, sensor=pair.sensor)
                    return whole(scene, model) if share == 1 else part_of_steps(scene, model, share)

                yield name, measure


def kin_runs(options: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """From weights of another scene of the same sensor, and from nothing."""
    from pansharp.adaptation.settings import Start
    from pansharp.readers import open_scene

    def opened(folder: str, form: str, number: int, sensor: str) -> Scene:
        files = (options.data / folder / form.format(number, kind) for kind in ("pan", "ms"))
        pan, ms = files
        return open_scene(pan=pan, ms=ms, sensor=sensor)

    for model in options.models:
        for label, folder, form, (first, second), sensor in KIN:
            start: list[Start] = []

            def begun(
                model: str = model,
                where: tuple[str, str, int, str] = (folder, form, first, sensor),
                start: list[Start] = start,
            ) -> Start:
                if not start:
                    from pansharp.adaptation.adapt import adapt
                    from pansharp.adaptation.settings import AdaptSettings

                    done = adapt(model, trial_of(opened(*where), model), AdaptSettings())
                    start.append(Start("kin", {}, done.network.state_dict()))
                return start[0]

            for steps in (0, *KIN_STEPS):
                for warm in (True, False):
                    if not (steps or warm):
                        continue

                    def measure(
                        model: str = model,
                        where: tuple[str, str, int, str] = (folder, form, second, sensor),
                        steps: int = steps,
                        warm: bool = warm,
                        begun: Any = begun,
                    ) -> dict[str, Any]:
                        trial = trial_of(opened(*where), model)
                        given = begun() if warm else None
                        return scores(trial, fitted(trial, model, steps, given))

                    yield {"pair": label, "model": model, "steps": steps, "warm": warm}, measure


def measured(options: Any) -> list[dict[str, Any]]:
    """All rows, those of the log first."""
    log: Path = options.log
    log.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for name, measure in runs(options):
        if any(all(row.get(k) == v for k, v in name.items()) for row in rows):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows.append({**name, **measure()})
        with log.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
    return rows


def report(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row a measurement, and geometric means of the ratios."""
    lines = []
    for r in rows:
        ratios = [f"{r['ergas'] / r['best_ergas']:.3f}", f"{r['sam'] / r['best_sam']:.3f}"]
        how = [f"{r['share']:.0%}"] if "share" in r else ["kin" if r["warm"] else "nothing"]
        figures = [
            f"{r['ergas']:.3f}, {r['best_ergas']:.3f}",
            f"{r['sam']:.2f}, {r['best_sam']:.2f}",
        ]
        full = f"{r['hqnr']:.3f}, {r['best_hqnr']:.3f}" if "hqnr" in r else "-"
        sharp = f"{r['d_s']:.3f}, {r['best_d_s']:.3f}" if "d_s" in r else "-"
        minutes = f"{r['minutes']:.1f}" if "minutes" in r else "-"
        lines.append(
            [r["pair"], r["model"], *how, str(r["steps"]), *ratios, *figures, full, sharp, minutes]
        )
    heads = ["pair", "network", "share or start", "steps", "ERGAS ratio", "SAM ratio"]
    heads += ["ERGAS, best classical", "SAM, best classical", "HQNR, best", "D_s, best", "CPU min"]
    text = common.table(heads, lines)
    for model in dict.fromkeys(r["model"] for r in rows):
        full = [r for r in rows if r["model"] == model and r.get("share") == 1]
        if full:
            means = [
                math.exp(sum(math.log(r[k] / r[f"best_{k}"]) for r in full) / len(full))
                for k in ("ergas", "sam")
            ]
            worst = max(r["ergas"] / r["best_ergas"] for r in full)
            text += (
                f"\n`{model}`: geometric means over {len(full)} pairs ERGAS {means[0]:.3f}, SAM "
                f"{means[1]:.3f}; largest ERGAS ratio {worst:.3f}"
            )
    return text


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Run the benchmark as the command line says."""
    parser = common.parser("Networks with a part of their steps, and from weights of their kin.")
    parser.add_argument("--data", type=Path, default=default_data(), help="folder of the pairs")
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--log", type=Path, default=common.RESULTS / "adaptation.jsonl")
    parser.add_argument("--warm", action="store_true", help="start from a scene of the same sensor")
    options = common.parse(parser, arguments)
    if options.warm and options.log == common.RESULTS / "adaptation.jsonl":
        options.log = common.RESULTS / "adaptation_warm.jsonl"
    rows = measured(options)
    common.emit("Steps and starts", report(rows), options)
    return rows


if __name__ == "__main__":
    main()
