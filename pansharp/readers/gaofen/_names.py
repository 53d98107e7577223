"""Names of Chinese deliveries: satellite, camera, scene, and which half a file is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["Name", "parse"]

#: Start of the name, and the sensor's name in the table.
_SATELLITES: tuple[tuple[str, str], ...] = (
    (r"GF2_(?P<camera>PMS[12])_", "gaofen2"),
    (r"GF1_(?P<camera>PMS[12])_", "gaofen1"),
    (r"GF1B_(?P<camera>PMS)_", "gaofen1b"),
    (r"GF1C_(?P<camera>PMS)_", "gaofen1c"),
    (r"GF1D_(?P<camera>PMS)_", "gaofen1d"),
    (r"GF6_(?P<camera>PMS)_", "gaofen6_pms"),
    (r"GF7_(?P<camera>DLC)_", "gaofen7"),
    (r"ZY30[123]A?_?(?P<camera>TMS|MUX|NAD)", "ziyuan3"),
    (r"SV1-0[1-4]_", "superview1"),
)
#: Which MS belongs to a PAN; ``#`` stands for the camera's digit, which some products leave off.
_PARTNERS = {
    "PAN#": ("MSS#",),
    "PAN": ("MUX", "MSS"),
    "BWDPAN": ("BWDMUX",),
    "NAD": ("MUX",),
}
_ROLE = re.compile(r"-((?:BWD|FWD)?(?:PAN|MUX)|MSS|NAD|FWD|BWD|PSH)(\d?)$", re.IGNORECASE)
_DATE = re.compile(r"_((?:19|20)\d{2})(\d{2})(\d{2})_")
_PLACE = re.compile(r"_([EW])(\d{1,3}(?:\.\d+)?)_([NS])(\d{1,2}(?:\.\d+)?)_")
_LEVEL = re.compile(r"_(L\d[A-Z]?)(\d{10,})")


@dataclass(frozen=True)
class Name:
    """What the name of a file says.

    Parameters
    ----------
    scene : str
        Name of the scene: what PAN and MS share.
    role : str
        ``PAN1``, ``MSS1``, ``MUX`` ..., upper case; empty for a file of the whole scene.
    sensor : str
        Name in the table of sensors.
    camera : str
        ``PMS1`` ...; empty where the satellite has one.
    """

    scene: str
    role: str
    sensor: str
    camera: str

    @property
    def is_pan(self) -> bool:
        """Whether it is a PAN that has an MS."""
        return bool(self.partners)

    @property
    def is_ms(self) -> bool:
        """Whether it is an MS that has a PAN."""
        return self.role.rstrip("12") in ("MSS", "MUX", "BWDMUX")

    @property
    def partners(self) -> tuple[str, ...]:
        """Roles of the MS that belong to this PAN, the likeliest first."""
        digit = self.role[-1:] if self.role[-1:].isdigit() else ""
        if digit:
            plain = self.role[:-1]
            return tuple(part.replace("#", digit) for part in _PARTNERS.get(f"{plain}#", ()))
        return _PARTNERS.get(self.role, ())

    @property
    def part(self) -> str:
        """Camera in words, for messages; the digit of the role counts, not the folder's."""
        digit = self.role[-1:]
        if digit.isdigit():
            return f"camera {digit}"
        if self.role.startswith(("FWD", "BWD")):
            return "the forward camera" if self.role.startswith("F") else "the backward camera"
        return ""

    @property
    def date(self) -> datetime | None:
        """Day in the name, as midnight UTC."""
        match = _DATE.search(f"{self.scene}_")
        try:
            if match is None:
                return None
            year, month, day = map(int, match.groups())
            return datetime(year, month, day, tzinfo=UTC)
        except ValueError:
            return None

    @property
    def centre(self) -> tuple[float, float] | None:
        """Longitude and latitude of the scene's centre, degrees."""
        match = _PLACE.search(self.scene)
        if match is None:
            return None
        east, lon, north, lat = match.groups()
        return float(lon) * (1 if east == "E" else -1), float(lat) * (1 if north == "N" else -1)

    @property
    def level(self) -> str | None:
        """``L1A`` ..."""
        match = _LEVEL.search(self.scene)
        return match.group(1) if match else None

    @property
    def identifier(self) -> str | None:
        """Number of the product."""
        match = _LEVEL.search(self.scene)
        return match.group(2) if match else None


def parse(path: str | Path) -> Name | None:
    """Read a file's name (or a folder's); None where it is none of these satellites'."""
    name = Path(path).name
    stem = Path(path).stem if _suffixed(name) else name
    for pattern, sensor in _SATELLITES:
        match = re.match(pattern, stem, re.IGNORECASE)
        if match is None:
            continue
        role = _ROLE.search(stem)
        scene = stem[: role.start()] if role else stem
        camera = (match.groupdict().get("camera") or "").upper()
        return Name(scene, "".join(role.groups()).upper() if role else "", sensor, camera)
    return None


def _suffixed(name: str) -> bool:
    return bool(re.search(r"\.(tiff?|xml|rpb|jpg)$", name, re.IGNORECASE))
