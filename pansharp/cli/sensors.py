"""`pansharp sensors`: the sensor tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pansharp.cli._output import print_json, table
from pansharp.cli.options import json_option, verbosity_options

if TYPE_CHECKING:
    from pansharp.sensors import Band, SensorProfile

__all__ = ["command"]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _details(profile: SensorProfile) -> str:
    facts = [
        ("name", profile.name),
        ("label", profile.label),
        ("aliases", ", ".join(profile.aliases)),
        ("ratio", _number(profile.ratio)),
        ("pixel size", f"PAN {_number(profile.gsd_pan_m)} m, MS {_number(profile.gsd_ms_m)} m"),
        ("bits", _number(profile.bits)),
        ("nodata", _number(profile.nodata)),
        ("sources", profile.sources),
    ]
    lines = [f"{name:<10} {text}" for name, text in facts if text]
    bands: list[Band] = list(profile.bands)
    if profile.pan is not None:
        bands.insert(0, profile.pan)
    rows = [
        (b.name, b.code, _number(b.centre_nm), _number(b.width_nm), _number(b.mtf_nyquist))
        for b in bands
    ]
    if rows:
        lines += ["", table(("band", "code", "centre nm", "width nm", "MTF at Nyquist"), rows)]
    return "\n".join(lines)


def _gains_published(profile: SensorProfile) -> bool:
    return bool(profile.bands) and all(b.mtf_nyquist is not None for b in profile.bands)


def _document(profile: SensorProfile) -> dict[str, object]:
    """The profile with the gains that fusion would use and whether they are guesses."""
    from dataclasses import asdict

    pan_gain, pan_assumed = profile.pan_gain
    return {
        **asdict(profile),
        "pan_gain": pan_gain,
        "pan_gain_assumed": pan_assumed,
        "gains_assumed": not _gains_published(profile),
    }


@click.command(
    name="sensors",
    epilog="""\b
Examples:
  pansharp sensors
  pansharp sensors wv3
  pansharp sensors --json
""",
)
@click.argument("name", required=False)
@json_option
@verbosity_options
def command(name: str | None, as_json: bool) -> None:
    """List the sensors, or show the bands and MTF gains of the sensor NAME.

    In the column 'gains', 'published' means that every MS gain has a source, and 'assumed' that
    0.30 is taken for those that have none.
    """
    from pansharp.sensors import get_sensor, list_sensors

    if name is not None:
        profile = get_sensor(name)
        if as_json:
            print_json(_document(profile))
        else:
            click.echo(_details(profile))
        return
    profiles = [get_sensor(known) for known in list_sensors()]
    if as_json:
        print_json([_document(profile) for profile in profiles])
        return
    rows = [
        (
            p.name,
            p.label,
            str(len(p.bands)) if p.bands else "-",
            _number(p.ratio),
            _number(p.gsd_pan_m),
            _number(p.gsd_ms_m),
            "published" if _gains_published(p) else "assumed",
        )
        for p in profiles
    ]
    click.echo(table(("name", "label", "bands", "ratio", "PAN m", "MS m", "gains"), rows))
