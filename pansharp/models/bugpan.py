"""BUGPan, the bidomain uncertainty gated recursive network.

J. Hou, X. Liu, C. Wu, X. Cong, C. Huang, L.-J. Deng, J. W. You, "Bidomain uncertainty gated
recursive network for pan-sharpening", Information Fusion, 2025, doi:10.1016/j.inffus.2025.102938.

Independent implementation after the behaviour of the authors' code (GitHub coder-JMHou/BUGPan,
commit 7af37a2, class MSL_RIJAN_P), whose layers, sizes and parameter counts it has. ``faithful``
gives that network to rounding, the others are the default form:

- the gate decides for windows of a lattice instead of once for the whole input, and its decision
  is interpolated between their centres; Fourier transforms are those of the windows;
- the gate learns: the authors' training overwrites its logits with noise before reading them;
- the gate only measures, no gradient passes through it into the features (nor does one in the
  authors' training, for the same reason);
- the frequency uncertainty is regularised where the mean spectrum is near zero;
- the low-resolution image and the interpolated images of the coarse scales are averages over
  blocks of the interpolated image, so that any real ratio works, instead of a bicubic reduction
  that aliases; below a ratio of 3 the pyramid has two scales instead of three;
- the layers that read the image off the features start at zero.

No published score is claimed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pansharp.errors import ModelError, OptionError
from pansharp.models.layers.fusion import ResidualNetwork, upsample_bicubic, zero_init
from pansharp.models.layers.recursion import RecursiveBlock
from pansharp.models.layers.spectral import reflect_to_multiple
from pansharp.models.layers.uncertainty import ElementWeight, HardGate, SampleWeight

__all__ = ["BUGPan"]

_GATES = ("gate", "esw", "ssw", "none")
_INPUTS = ("all", "space", "frequency", "features")


class BUGPan(ResidualNetwork):
    """The network.

    Parameters
    ----------
    ms_bands, pan_bands : int
        Bands of the low-resolution image and of the guide.
    ratio : float
        Nominal ratio; only decides on `scales`.
    width : int
        Feature channels F, at least 10.
    retimes : int
        Recursions R in each block.
    gate : {"gate", "esw", "ssw", "none"}
        Hard gate; soft weights of pixels and channels; one soft weight; every step as it is.
    gate_input : {"all", "space", "frequency", "features"}
        Uncertainty that the gate reads beside the features.
    gate_widths : tuple of int
        Width of the hard gate from the coarsest scale on.
    gate_noise : {"gumbel", "official", "none"}
        Noise of the hard gate in training, see :class:`HardGate`.
    gate_offset : float
        Head start of taking a step, in [0, 1): it is skipped where the gate's probability of
        skipping exceeds (1 + offset) / 2. The authors begin with 0.7, lower it to 0.1 in training
        and predict with 0.7. Also an attribute that may be set.
    gate_scope : {"window", "tile", "open"} or None
        Decide for windows; once for the whole input, as the authors; never (all steps are taken,
        the gate keeps its weights). None: ``"tile"`` if `faithful`, else ``"window"``.
    gate_window : int
        Side of the windows in pixels of the guide, a multiple of ``2 ** scales``.
    recursive : bool
        Whether the recursions of a block share their weights.
    depthwise : bool
        Depth-wise and point-wise instead of full convolutions in the recursions.
    scales : int or None
        Blocks; the coarsest works at ``2 ** (scales - 1)`` pixels of the guide. None: 3, or 2
        below a ratio of 3.
    faithful : bool
        The authors' network, used through :meth:`forward` and :meth:`pyramid`.

    Raises
    ------
    OptionError
        If an argument does not fit, with the value that was given.
    """

    def __init__(
        self,
        *,
        ms_bands: int,
        pan_bands: int = 1,
        ratio: float = 4,
        width: int = 32,
        retimes: int = 5,
        gate: str = "gate",
        gate_input: str = "all",
        gate_widths: tuple[int, ...] = (32, 16, 8),
        gate_noise: str = "gumbel",
        gate_offset: float = 0.7,
        gate_scope: str | None = None,
        gate_window: int = 32,
        recursive: bool = True,
        depthwise: bool = False,
        scales: int | None = None,
        faithful: bool = False,
    ) -> None:
        super().__init__(ms_bands=ms_bands, pan_bands=pan_bands, ratio=ratio)
        scales = scales if scales is not None else (2 if ratio < 3 and not faithful else 3)
        scope = gate_scope or ("tile" if faithful else "window")
        _choice("gate", gate, _GATES)
        _choice("gate_input", gate_input, _INPUTS)
        _choice("gate_noise", gate_noise, ("gumbel", "official", "none"))
        _choice("gate_scope", scope, ("tile", "open") if faithful else ("window", "tile", "open"))
        if retimes < 1 or scales < 1 or (gate == "gate" and len(gate_widths) < scales):
            raise OptionError(
                f"retimes={retimes}, scales={scales}, gate_widths={gate_widths}: a network needs "
                "one recursion and one scale at least, and a gate width for each scale"
            )
        if not 0 <= gate_offset < 1:
            raise OptionError(f"gate_offset={gate_offset}: must be in [0, 1)")
        windowed = gate != "none" and scope == "window"
        if windowed and (gate_window < 1 or gate_window % 2**scales):
            raise OptionError(f"gate_window={gate_window}: must be a multiple of {2**scales}")
        self.faithful = faithful
        self.scales = scales
        self.multiple_of = gate_window if windowed else 2 ** (scales - 1)

        maps = {"all": 3, "space": 1, "frequency": 2, "features": 0}[gate_input] * ms_bands
        self.blocks = nn.ModuleList()
        for i in range(scales):
            decide: HardGate | SampleWeight | ElementWeight | None = None
            if gate == "gate":
                decide = HardGate(
                    *(width + maps, gate_widths[i], 2 ** (i + 1)),
                    noise=gate_noise,
                    offset=gate_offset,
                )
            elif gate != "none":
                decide = (ElementWeight if gate == "esw" else SampleWeight)(width + maps, width)
            block = RecursiveBlock(
                *(width, ms_bands),
                retimes=retimes,
                gate=decide,
                gate_input=gate_input,
                window=gate_window >> (scales - 1 - i) if windowed else None,
                attached=faithful,
                seed=i,
                recursive=recursive,
                depthwise=depthwise,
            )
            block.open = scope == "open"
            self.blocks.append(block)
            if not faithful:
                zero_init(block.uncertainty.out)
        many = range(scales - 1)
        four = 4 * ms_bands
        self.down_pan = nn.ModuleList(nn.Conv2d(pan_bands, pan_bands, 5, 2, 2) for _ in many)
        self.up_ms = nn.ModuleList(nn.Conv2d(ms_bands, four, 3, padding=1) for _ in many)
        self.project_pan = nn.ModuleList(
            nn.Conv2d(pan_bands, width, 5, padding=2) for _ in range(scales)
        )
        self.project_ms = nn.ModuleList(
            nn.Conv2d(ms_bands, width, 3, padding=1) for _ in range(scales)
        )
        self.up_image = nn.ModuleList(nn.Conv2d(ms_bands, four, 3, padding=1) for _ in many)
        self.project_image = nn.ModuleList(nn.Conv2d(ms_bands, width, 3, padding=1) for _ in many)
        self.up_features = nn.ModuleList(_separable(width, 4 * width) for _ in many)
        self.merge = nn.ModuleList(_separable(3 * width, width) for _ in many)
        self.to_fastest_layout()

    @property
    def gate_offset(self) -> float:
        """Offset of the hard gates; 0 without any."""
        offsets = [float(m.offset) for m in self.modules() if isinstance(m, HardGate)]
        return offsets[0] if offsets else 0.0

    @gate_offset.setter
    def gate_offset(self, value: float) -> None:
        if not 0 <= value < 1:
            raise OptionError(f"gate_offset={value}: must be in [0, 1)")
        for module in self.modules():
            if isinstance(module, HardGate):
                module.offset.fill_(value)

    def residual(self, guide: Tensor, up: Tensor) -> Tensor:
        """Return what is added to `up`; shapes as in :meth:`ResidualNetwork.residual`.

        Sides that are no multiple of ``multiple_of`` are mirrored below and to the right and
        cropped again.

        Raises
        ------
        ModelError
            If the network is `faithful`: the authors' one needs the low-resolution image itself.
        """
        if self.faithful:
            raise ModelError(
                "the authors' form of bugpan (faithful=True) takes the low-resolution image: call "
                "forward(guide, low), or build the network with faithful=False"
            )
        return self._corrections(guide, up)[0][-1][..., : up.shape[-2], : up.shape[-1]]

    def forward(self, guide: Tensor, low: Tensor, lms: Tensor | None = None) -> Tensor:
        """Fuse a guide and a low-resolution image that cover the same ground.

        Parameters
        ----------
        guide : Tensor, shape (N, pan_bands, H, W), float32
            PAN or other high-resolution bands in [0, 1].
        low : Tensor, shape (N, ms_bands, h, w), float32
            Low-resolution image in [0, 1]; if `faithful`, smaller by ``2 ** (scales - 1)``.
        lms : Tensor, shape (N, ms_bands, H, W), float32, optional
            `low` on the grid of the guide, to which the correction is added; None: bicubic. The
            authors read it from their data files.

        Returns
        -------
        Tensor, shape (N, ms_bands, H, W), float32
            Not clipped.

        Raises
        ------
        BandMismatchError, ModelError
            If the inputs do not fit the network or one another.
        """
        return self.pyramid(guide, low, lms)[-1]

    def pyramid(self, guide: Tensor, low: Tensor, lms: Tensor | None = None) -> list[Tensor]:
        """Return the estimates of all scales, what deep supervision compares.

        Parameters and errors as in :meth:`forward`.

        Returns
        -------
        list of Tensor
            From coarse to fine, (N, ms_bands, ceil(H / k), ceil(W / k)) with k = 4, 2, 1 for three
            scales; the last one is what :meth:`forward` returns.
        """
        self.check_inputs(guide, low)
        size = (guide.shape[-2], guide.shape[-1])
        up = upsample_bicubic(low, size) if lms is None else lms
        if up.shape != (low.shape[0], low.shape[1], *size):
            raise ModelError(
                f"lms has the shape {tuple(up.shape)}; the guide asks for "
                f"{(low.shape[0], low.shape[1], *size)}"
            )
        if self.faithful:
            factor = 2 ** (self.scales - 1)
            if size != (factor * low.shape[-2], factor * low.shape[-1]):
                raise ModelError(
                    f"the guide has {size[0]}x{size[1]} pixels and the low-resolution image "
                    f"{low.shape[-2]}x{low.shape[-1]}: the authors' form of bugpan needs a ratio "
                    f"of {factor}; build it with faithful=False"
                )
            bases = [
                up if k == 1 else F.interpolate(up, size=_smaller(size, k), mode="bicubic")
                for k in self._factors
            ]
            return [b + c for b, c in zip(bases, self._scales(guide, low, bases), strict=True)]
        corrections, bases = self._corrections(guide, up)
        estimates = []
        for base, correction, k in zip(bases, corrections, self._factors, strict=True):
            rows, columns = (-(-side // k) for side in size)
            estimates.append((base + correction)[..., :rows, :columns])
        return estimates

    @property
    def _factors(self) -> list[int]:
        return [2 ** (self.scales - 1 - i) for i in range(self.scales)]

    def _corrections(self, guide: Tensor, up: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Corrections of all scales and what they are added to, padded to whole windows."""
        guide, up = reflect_to_multiple(self.multiple_of, guide, up)
        bases = [up if k == 1 else F.avg_pool2d(up, k) for k in self._factors]
        return self._scales(guide, bases[0], bases), bases

    def _scales(self, guide: Tensor, low: Tensor, bases: list[Tensor]) -> list[Tensor]:
        """Run all blocks from coarse to fine."""
        pans, images = [guide], [low]
        for down, up in zip(self.down_pan, self.up_ms, strict=True):
            pans.insert(0, down(pans[0]))
            images.append(F.pixel_shuffle(up(images[-1]), 2))
        corrections: list[Tensor] = []
        features = guide
        for i, block in enumerate(self.blocks):
            a = self.project_ms[i](images[i])
            if i:
                estimate = bases[i - 1] + corrections[-1]
                image = F.pixel_shuffle(self.up_image[i - 1](estimate), 2)
                features = F.pixel_shuffle(self.up_features[i - 1](features), 2)
                a = self.merge[i - 1](
                    torch.cat((self.project_image[i - 1](image), a, features), dim=1)
                )
            features, correction = block(a, self.project_pan[i](pans[i]))
            corrections.append(correction)
        return corrections


def _separable(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs), nn.Conv2d(inputs, outputs, 1)
    )


def _smaller(size: tuple[int, int], factor: int) -> list[int]:
    return [size[0] // factor, size[1] // factor]


def _choice(key: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise OptionError(f"{key}='{value}': choose " + " or ".join(f"'{k}'" for k in known))
