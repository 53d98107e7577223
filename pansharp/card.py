"""The score card of a product: what was done, what it was judged by, and the verdict."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pansharp.geometry.register import Sharpness

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pansharp.outcome import Outcome
    from pansharp.scene import Scene

__all__ = [
    "build_card",
    "card_path",
    "card_tags",
    "card_text",
    "digest",
    "scene_digests",
    "summary",
    "write_card",
]

#: A file is digested whole up to this size; of larger ones three pieces and the size.
_WHOLE = 256 * 2**20
_PIECE = 8 * 2**20


def card_path(product: Path) -> Path:
    """Where the card of a product lies."""
    return product.with_name(product.name + ".card.json")


def build_card(outcome: Outcome) -> dict[str, object]:
    """Assemble the card.

    Parameters
    ----------
    outcome : Outcome
        A judged fusion.

    Returns
    -------
    dict
        JSON-ready, keys as documented in docs/card.md.
    """
    from pansharp import __version__

    card: dict[str, object] = {
        "pansharp": __version__,
        "scene": _scene(outcome),
        "model": _model(outcome),
        "alignment": _alignment(outcome),
        "reduced": _reduced(outcome),
        "full": _full(outcome),
        "verdict": outcome.verdict.word if outcome.verdict else None,
        "conventions": _conventions(outcome),
        "timings": {key: round(value, 3) for key, value in outcome.timings.items()},
        "warnings": [*outcome.scene.notes, *outcome.warnings],
    }
    return card


def _scene(outcome: Outcome) -> dict[str, object]:
    scene = outcome.scene
    return {
        "name": scene.name,
        "files": {
            role: [{"name": Path(p).name, **digest(Path(p))} for p in paths]
            for role, paths in scene.files.items()
        },
        "sensor": scene.sensor.name if scene.sensor else None,
        "acquired": scene.acquired,
        "shape": list(scene.shape),
        "ratio": scene.ratio,
        "bands": list(scene.band_names),
        "ortho": None if scene.ortho is None else scene.ortho.describe(),
        "radiometry": None if scene.radiometry is None else scene.radiometry.describe(),
    }


def digest(path: Path) -> dict[str, object]:
    """SHA-256 of a file, or of its size and three pieces when it is large.

    Of a folder (a Zarr store): of the names and sizes of its files, and of its metadata.
    """
    # Late: most fusions without a card never need OpenSSL.
    import hashlib

    try:
        size = path.stat().st_size
    except OSError:
        return {"sha256": None}
    digest = hashlib.sha256()
    if path.is_dir():
        return _folder_digest(path)
    with path.open("rb") as file:
        if size <= _WHOLE:
            while chunk := file.read(_PIECE):
                digest.update(chunk)
            return {"sha256": digest.hexdigest(), "bytes": size}
        digest.update(str(size).encode())
        for start in (0, size // 2, size - _PIECE):
            file.seek(start)
            digest.update(file.read(_PIECE))
    return {"sha256_of_parts": digest.hexdigest(), "bytes": size}


def _folder_digest(folder: Path) -> dict[str, object]:
    import hashlib

    digest, total = hashlib.sha256(), 0
    for path in sorted(file for file in folder.rglob("*") if file.is_file()):
        size = path.stat().st_size
        total += size
        digest.update(f"{path.relative_to(folder).as_posix()} {size}\n".encode())
        if path.name in ("zarr.json", ".zarray", ".zattrs") and size <= _PIECE:
            digest.update(path.read_bytes())
    return {"sha256_of_parts": digest.hexdigest(), "bytes": total}


def scene_digests(scene: Scene) -> list[str]:
    """Digests of the files of a scene, sorted; empty for a scene that comes from arrays."""
    found = [digest(Path(path)) for paths in scene.files.values() for path in paths]
    return sorted(str(one.get("sha256") or one.get("sha256_of_parts")) for one in found)


def _model(outcome: Outcome) -> dict[str, object]:
    from pansharp.models import get_spec

    model: dict[str, object] = {
        "name": outcome.asked,
        "used": outcome.used,
        "backprojections": outcome.passes,
        "weights": None,
    }
    if outcome.adapted is not None:
        facts = dict(outcome.adapted.facts)
        facts["arch"] = facts.pop("name")
        model.update(facts)
    model.update(outcome.model_facts)
    spec = get_spec(outcome.used)
    model["reference"] = spec.reference
    if spec.note:
        model["note"] = spec.note
    return model


def _alignment(outcome: Outcome) -> dict[str, object]:
    shift = outcome.shift
    base: dict[str, object] = {
        "applied_rows_cols_pan_px": list(outcome.shift_applied),
        "pan_index_of_first_ms_pixel": [
            outcome.scene.alignment.y.offset,
            outcome.scene.alignment.x.offset,
        ],
    }
    if shift is not None:
        base |= {
            "found_rows_cols_pan_px": [shift.rows, shift.cols],
            "r2_before": round(float(shift.r2_before), 6),
            "r2_after": round(float(shift.r2_after), 6),
            "patches": shift.patches,
        }
        if shift.spread is not None and shift.residual is not None:
            base |= {
                "spread_pan_px": round(shift.spread, 3),
                "residual_rows_cols_pan_px": [round(value, 3) for value in shift.residual],
            }
    return base


def _reduced(outcome: Outcome) -> dict[str, object]:
    if outcome.reduced:
        return outcome.reduced
    trial, verdict = outcome.trial, outcome.verdict
    if trial is None or verdict is None:
        return {}
    passes = outcome.passes
    but = None if outcome.adapted is not None else outcome.asked
    name = trial.best_classical(passes, but)
    own = (
        outcome.adapted.scores
        if outcome.adapted is not None
        else {k: trial.classical(outcome.used, k) for k in {0, passes}}
    )
    return {
        "model": own[passes].as_dict(),
        "best_classical": trial.classical(name, passes).as_dict(),
        "classical_name": name,
        "exp": trial.classical("exp", 0).as_dict(),
        "before_backprojection": {
            "model": own[0].as_dict(),
            "best_classical": trial.classical(trial.best_classical(0, but), 0).as_dict(),
            "classical_name": trial.best_classical(0, but),
        },
        "rho": round(verdict.rho, 5),
        "rho_interval": [round(verdict.low, 5), round(verdict.high, 5)],
        "win_rate": round(verdict.wins, 4),
        "blocks": verdict.blocks,
        "block_size": trial.block_size,
        "candidates": {
            **{n: trial.classical(n, passes).as_dict() for n in _yardsticks()},
            **{str(row["name"]): row for row in outcome.candidates},
        },
    }


def _yardsticks() -> tuple[str, ...]:
    from pansharp.adaptation.trial import YARDSTICKS

    return YARDSTICKS


def _full(outcome: Outcome) -> dict[str, object]:
    from pansharp.models import is_network

    scores = {
        name: {key: round(value, 6) for key, value in values.items()}
        for name, values in outcome.full.items()
    }
    passes = outcome.passes
    # After a fall-back the product is the classical one, whatever was asked for.
    kind = "model" if is_network(outcome.used) else "best_classical"
    chosen = scores.get("model") or scores.get(f"{kind}+bp{passes}")
    if chosen is None:
        return {}
    names = {
        "d_lambda": "D_lambda",
        "d_s": "D_s",
        "qnr": "QNR",
        "d_lambda_k": "D_lambda_K",
        "hqnr": "HQNR",
        "rmse_to_ms": "rmse_to_ms_percent",
    }
    return {**{names[k]: v for k, v in chosen.items() if k in names}, "products": scores}


def _conventions(outcome: Outcome) -> dict[str, object]:
    facts = outcome.facts
    trial = outcome.trial
    if outcome.conventions:
        return outcome.conventions
    conventions: dict[str, object] = {
        "mtf_gains": list(facts.ms_gains),
        "mtf_gains_assumed": bool(facts.extra.get("gains_assumed", True)),
        "mtf_gains_source": facts.extra.get("gains_source", "assumed"),
        "pan_gain": facts.pan_gain,
        "pan_gain_assumed": bool(facts.extra.get("pan_gain_assumed", True)),
        "interpolator": "limit of the 23-tap half-band filter, true sub-pixel positions",
        "full_block": 32,
        "note": "reduced-scale scores assume the same behaviour at R times finer scale",
    }
    sharpness = facts.extra.get("sharpness")
    if isinstance(sharpness, Sharpness):
        conventions["mtf_gain_of_pair"] = {
            "gain": sharpness.gain,
            "r2_before": round(sharpness.r2_before, 6),
            "r2_after": round(sharpness.r2_after, 6),
        }
    if trial is not None:
        conventions |= {
            "reduced_block": trial.block_size,
            "reduced_border_cut": 8,
            "reduced_windows": len(trial.reduced),
            "guard_band": 4,
        }
    return conventions


def card_tags(card: Mapping[str, object]) -> dict[str, str]:
    """The main figures as raster tags."""
    model = card["model"]
    assert isinstance(model, dict)
    tags = {
        "PANSHARP_SOFTWARE": f"pansharp {card['pansharp']}",
        "PANSHARP_MODEL": str(model["name"]),
        "PANSHARP_MODEL_USED": str(model["used"]),
        "PANSHARP_BACKPROJECTIONS": str(model["backprojections"]),
    }
    if card["verdict"]:
        tags["PANSHARP_VERDICT"] = str(card["verdict"])
    reduced, full = card["reduced"], card["full"]
    if isinstance(reduced, dict) and reduced:
        tags["PANSHARP_RHO"] = str(reduced["rho"])
        # The tags speak of the pixels they travel with, also where the network was rejected.
        rejected = model["used"] == reduced["classical_name"]
        for key, value in reduced["best_classical" if rejected else "model"].items():
            tags[f"PANSHARP_{key.upper()}"] = f"{value:.6g}"
        tags["PANSHARP_BEST_CLASSICAL"] = str(reduced["classical_name"])
    if isinstance(full, dict) and "HQNR" in full:
        tags["PANSHARP_HQNR"] = f"{full['HQNR']:.6g}"
    return tags


def card_text(card: Mapping[str, object]) -> str:
    """The card as JSON text."""
    return json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_card(text: str, path: Path) -> None:
    """Write the card beside its product, atomically."""
    part = path.with_name(path.name + f".part{os.getpid()}")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def summary(card: Mapping[str, object]) -> str:
    """The verdict in one line."""
    model, reduced = card["model"], card["reduced"]
    assert isinstance(model, dict)
    assert isinstance(reduced, dict)
    if not reduced:
        return f"{model['used']}: not scored"
    ours, best = reduced["model"], reduced["best_classical"]
    low, high = reduced["rho_interval"]
    text = (
        f"{model['name']}: {card['verdict'] or 'not verified'} - ERGAS {ours['ergas']:.3f} against "
        f"{best['ergas']:.3f} of {reduced['classical_name']} on {reduced['blocks']} unseen blocks "
        f"(ratio {reduced['rho']:.3f}, {low:.3f}-{high:.3f}); "
        f"SAM {ours['sam']:.2f} against {best['sam']:.2f} degrees"
    )
    if model["used"] != model["name"] and (model["name"] != "auto" or card["verdict"] == "worse"):
        text += f"; the product is made by {model['used']}"
    full = card["full"]
    if isinstance(full, dict) and "HQNR" in full:
        text += f"; HQNR {full['HQNR']:.3f}"
    return text
