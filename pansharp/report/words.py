"""What a card says, in sentences and tables for people who do not live with indices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pansharp.report.inputs import number, numbers, part
from pansharp.report.pages import Cell, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "alignment_words",
    "convention_words",
    "flat_card",
    "full_table",
    "provenance",
    "reduced_table",
    "verdict_words",
]

_DASH = "–"
#: Error ratio from which on a difference matters.
_SEEN = 1.01
#: Levels of a card that are listed key by key; cards have four.
_DEEPEST = 8
#: Index: what it measures, decimals, and whether small is good.
_REDUCED = {
    "ergas": ("ERGAS", "error of all bands, relative to their mean", 3, True),
    "sam": ("SAM", "angle between spectra: colours, degrees", 2, True),
    "q2n": ("Q2n", "likeness of structure and colour", 4, False),
    "psnr": ("PSNR", "signal over error, dB", 2, False),
    "ssim": ("SSIM", "likeness of structure", 4, False),
    "q": ("Q", "likeness band by band", 4, False),
}
_FULL = {
    "d_lambda": ("D_lambda", "bands that relate otherwise than in the MS", 4, True),
    "d_s": ("D_s", "detail that is not that of the PAN", 4, True),
    "qnr": ("QNR", "both together", 4, False),
    "d_lambda_k": ("D_lambda_K", "colours that are lost when blurred to MS pixels", 4, True),
    "hqnr": ("HQNR", "D_lambda_K and D_s together", 4, False),
    "rmse_to_ms": ("RMSE to the MS", "blurred to MS pixels, per cent of the mean", 2, True),
}


def _text(value: object, places: int) -> str:
    found = number(value)
    return _DASH if found is None else f"{found:.{places}f}"


def _direction(key: str, small: bool) -> str:
    if small:
        return "smaller is better"
    return "larger is better" if key == "psnr" else "larger is better, 1 is perfect"


def _change(rho: float) -> str:
    """An error ratio in words."""
    share = 100.0 * abs(1.0 - rho)
    size = f"{share:.3g} %" if share >= 0.05 else "less than 0.05 %"
    return f"{size} {'smaller' if rho < 1 else 'larger'}"


def verdict_words(card: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict.

    Parameters
    ----------
    card : mapping
        The card; may be empty.

    Returns
    -------
    dict
        ``tone`` (good, fair, bad or empty), ``word``, ``sentence``, ``more`` (sentences).
    """
    if not card:
        return {
            "tone": "",
            "word": "no card",
            "sentence": "This product has no score card: nothing is known of its quality, and the "
            "report invents nothing.",
            "more": ["Fuse without --no-card, or score it with `pansharp evaluate`."],
        }
    model, reduced = part(card, "model"), part(card, "reduced")
    asked, used = str(model.get("name", "?")), str(model.get("used", "?"))
    word, rho = card.get("verdict"), number(reduced.get("rho"))
    best = str(reduced.get("classical_name", "?"))
    more = _grounds(reduced, rho, best)
    if rho is None or word not in ("better", "equal", "worse"):
        why = (
            "not judged: nothing could be compared (see the warnings)"
            if rho is None
            else f"figures, but no verdict: too little was compared. Its error is {_change(rho)} "
            f"than that of {best}"
        )
        return {"tone": "", "word": "no verdict", "sentence": f"{used}: {why}.", "more": more}
    if word == "better":
        text = (
            f"{asked} is better than the best other method that was tried here, {best}: its error "
            f"(ERGAS) is {_change(rho)}, and the interval below excludes chance."
        )
        return {"tone": "good", "word": "better", "sentence": text, "more": more}
    if word == "equal":
        text = (
            f"{asked} and {best}, the best other method, cannot be told apart with confidence: "
            f"the error (ERGAS) of {asked} is {_change(rho)}. Either is a fair choice."
        )
        return {"tone": "fair", "word": "equal", "sentence": text, "more": more}
    if used != asked:
        text = (
            f"{asked} lost against {best} (error {_change(rho)}) and was set aside. The product "
            f"is made by {used}; the figures of {asked} are shown for the record."
        )
        return {"tone": "fair", "word": "worse, replaced", "sentence": text, "more": more}
    advice = (
        f"Prefer {best} where the figures matter."
        if rho >= _SEEN
        else "The difference is too small to be seen."
    )
    text = f"{asked} is worse than {best}: its error (ERGAS) is {_change(rho)}. {advice}"
    return {"tone": "bad", "word": "worse", "sentence": text, "more": more}


def _grounds(reduced: Mapping[str, Any], rho: float | None, best: str) -> list[str]:
    if rho is None:
        return []
    texts = []
    interval = numbers(reduced.get("rho_interval"), 2)
    if interval is not None:
        high = "unbounded" if interval[1] >= 1e6 else f"{interval[1]:.3f}"
        texts.append(
            f"rho = {rho:.3f}: error over that of {best}; below 1 is better. 90 % interval "
            f"{interval[0]:.3f} to {high}."
        )
    blocks, size, wins = (number(reduced.get(k)) for k in ("blocks", "block_size", "win_rate"))
    if blocks is not None and size is not None:
        text = f"Judged on {blocks:.0f} blocks of {size:.0f} x {size:.0f} MS pixels"
        if wins is not None:
            text += f", of which it wins {100 * wins:.0f} %"
        texts.append(
            text + ". The images were made coarser by their own ratio, so that the MS itself is "
            "the truth; the same is assumed to hold at full detail."
        )
    return texts


def _rated(values: list[float | None], places: int, small: bool) -> list[Cell]:
    """Cells with the best one set bold; the last column, plain interpolation, is no contestant.

    It keeps the colours by construction and adds no detail, so it wins every index of colour.
    """
    known = [value for value in values[:-1] if value is not None]
    best = (min(known) if small else max(known)) if len(known) > 1 else None
    return [
        Cell(
            _text(value, places),
            rank=1 if best is not None and value == best and index < len(values) - 1 else 0,
        )
        for index, value in enumerate(values)
    ]


def _compare(
    facts: Mapping[str, tuple[str, str, int, bool]],
    columns: Mapping[tuple[str, str], Mapping[str, Any]],
    caption: str,
) -> Table | None:
    shown = {title: column for title, column in columns.items() if column}
    rows: list[list[Cell | str]] = []
    for key, (label, what, places, small) in facts.items():
        values = [number(column.get(key)) for column in shown.values()]
        if any(value is not None for value in values):
            name = Cell(label, small=f"{what}; {_direction(key, small)}")
            rows.append([name, *_rated(values, places, small)])
    if not rows:
        return None
    return Table(["index", *(Cell(*title) for title in shown)], rows, caption)


def reduced_table(card: Mapping[str, Any]) -> Table | None:
    """Scores against the truth, one ratio coarser; None where there are none."""
    model, reduced = part(card, "model"), part(card, "reduced")
    asked, used = str(model.get("name", "?")), str(model.get("used", "?"))
    best = str(reduced.get("classical_name", "?"))
    rejected = used == best and used != asked
    columns = {
        ("set aside" if rejected else "product", asked if rejected else used): "model",
        ("product" if rejected else "best classical", best): "best_classical",
        ("no fusion", "exp"): "exp",
    }
    return _compare(
        _REDUCED,
        {title: part(reduced, key) for title, key in columns.items()},
        "Against the truth, one ratio coarser",
    )


def full_table(card: Mapping[str, Any]) -> Table | None:
    """Indices without a reference; None where there are none."""
    full, model, reduced = part(card, "full"), part(card, "model"), part(card, "reduced")
    names = {
        **{"D_lambda": "d_lambda", "D_s": "d_s", "QNR": "qnr", "D_lambda_K": "d_lambda_k"},
        **{"HQNR": "hqnr", "rmse_to_ms_percent": "rmse_to_ms"},
    }
    own = {names[key]: value for key, value in full.items() if key in names}
    products, passes = part(full, "products"), model.get("backprojections")
    used, best = str(model.get("used", "?")), str(reduced.get("classical_name", "?"))
    columns = {("product", used): own}
    if used != best:
        columns["best classical", best] = part(products, f"best_classical+bp{passes}")
    columns["no fusion", "exp"] = part(products, "exp")
    return _compare(_FULL, columns, "At full detail, without a truth")


def alignment_words(card: Mapping[str, Any]) -> list[str]:
    """Where the two images lie on each other."""
    facts = part(card, "alignment")
    texts = []
    applied = numbers(facts.get("applied_rows_cols_pan_px"), 2)
    found = numbers(facts.get("found_rows_cols_pan_px"), 2)
    if applied is not None:
        moved = f"The MS was moved by {applied[0]:+.2f} rows and {applied[1]:+.2f} columns"
        texts.append(
            f"{moved} (PAN pixels)." if any(applied) else "The MS was used where its file says."
        )
    if found is not None and found != applied:
        texts.append(
            f"Measured, but not applied: {found[0]:+.2f} rows and {found[1]:+.2f} columns."
        )
    before, after = (number(facts.get(key)) for key in ("r2_before", "r2_after"))
    if before is not None and after is not None:
        texts.append(
            f"The bands explain {100 * before:.1f} % of the blurred PAN as georeferenced, "
            f"{100 * after:.1f} % at the shift that was found; near 100 % is good."
        )
    spread, patches = number(facts.get("spread_pan_px")), number(facts.get("patches"))
    if spread is not None and patches is not None:
        texts.append(
            f"{patches:.0f} textured patches agree on it to {spread:.2f} PAN pixels; more than a "
            "MS pixel would mean parallax or relief."
        )
    first = numbers(facts.get("pan_index_of_first_ms_pixel"), 2)
    if first is not None:
        texts.append(
            f"The first MS pixel has its centre at PAN row {first[0]:.4g}, column {first[1]:.4g}."
        )
    return texts


def convention_words(card: Mapping[str, Any]) -> list[str]:
    """What the figures rest on."""
    facts = part(card, "conventions")
    texts = []
    gains = facts.get("mtf_gains")
    if isinstance(gains, list) and gains:
        listed = ", ".join(_text(gain, 3) for gain in gains)
        source = str(facts.get("mtf_gains_source", "unknown"))
        doubt = " (a guess: nobody has published them)" if facts.get("mtf_gains_assumed") else ""
        texts.append(f"MTF gains of the bands at Nyquist: {listed}; source: {source}{doubt}.")
    psf = part(facts, "psf")
    if psf:
        texts.append(
            f"Blur of the HSI: sigma {_text(psf.get('sigma_hsi_px'), 3)} HSI pixels, MTF gain "
            f"{_text(psf.get('mtf_gain'), 3)}; source: {psf.get('source', 'unknown')}."
        )
    aside = facts.get("bands_set_aside")
    if isinstance(aside, list) and aside:
        texts.append(f"Bands without data: {', '.join(map(str, aside))}.")
    for key in ("interpolator", "note"):
        if isinstance(facts.get(key), str):
            text = facts[key]
            texts.append(f"{text[:1].upper()}{text[1:]}.")
    return texts


def _bytes(value: object) -> str:
    size = number(value)
    if size is None:
        return _DASH
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return _DASH


def provenance(card: Mapping[str, Any]) -> dict[str, Any]:
    """Where the product comes from.

    Parameters
    ----------
    card : mapping
        The card.

    Returns
    -------
    dict
        ``files`` (a table or None), ``facts`` and ``timings`` (pairs of texts).
    """
    scene, model = part(card, "scene"), part(card, "model")
    rows: list[list[Cell | str]] = []
    for role, entries in part(scene, "files").items():
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict):
                whole = entry.get("sha256")
                value = whole or entry.get("sha256_of_parts") or _DASH
                kind = "" if whole or value == _DASH else "of parts"
                name = str(entry.get("name", _DASH))
                rows.append([Cell(name), role, _bytes(entry.get("bytes")), Cell(str(value), kind)])
    shape = scene.get("shape")
    facts = [
        ("scene", scene.get("name")),
        ("sensor", scene.get("sensor") or "unknown"),
        ("acquired", scene.get("acquired") or "unknown"),
        ("size", " x ".join(map(str, shape)) if isinstance(shape, list) else None),
        ("ratio", scene.get("ratio")),
        ("method asked for", model.get("name")),
        ("method of the product", model.get("used")),
        ("paper", model.get("reference")),
        ("remark", model.get("note")),
        ("weights", model.get("weights")),
        ("training steps", model.get("steps")),
        ("seed", model.get("seed")),
        ("back-projections", model.get("backprojections")),
        ("pansharp", card.get("pansharp")),
    ]
    return {
        "files": Table(["file", "role", "size", "SHA-256"], rows, "Input files") if rows else None,
        "facts": [(label, _value(value)) for label, value in facts if value is not None],
        "timings": [
            (key, f"{seconds:.2f} s")
            for key, value in part(card, "timings").items()
            if (seconds := number(value)) is not None
        ],
    }


def flat_card(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Every key of a card with its value, in the order of the card."""
    return list(_flat("", card))


def _flat(prefix: str, value: Mapping[str, Any], depth: int = 0) -> Iterable[tuple[str, str]]:
    for key, item in value.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(item, dict) and item and depth < _DEEPEST:
            yield from _flat(name, item, depth + 1)
        elif _is_table(item) and depth < _DEEPEST:
            for index, one in enumerate(item, 1):
                yield from _flat(f"{name}[{index}]", one, depth + 1)
        else:
            yield name, _value(item)


def _is_table(item: object) -> bool:
    return isinstance(item, list) and bool(item) and all(isinstance(one, dict) for one in item)


def _value(item: object) -> str:
    if item is None:
        return "null"
    if isinstance(item, bool):
        return "yes" if item else "no"
    if isinstance(item, float):
        return f"{item:.6g}"
    if isinstance(item, list):
        return ", ".join(str(one) if isinstance(one, list) else _value(one) for one in item)
    return str(item) if item != {} else "none"
