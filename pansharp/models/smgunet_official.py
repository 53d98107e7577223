"""The authors' weights of SMGU-Net (github.com/yansql/SMGU-Net) in the network of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pansharp.errors import WeightsError
from pansharp.models.layers.official import load_strictly, shape_of
from pansharp.models.smgunet import SMGUNet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["import_official"]

_RENAMES = (
    (r"^SpeUB\.conv1\.1\.", "spectral_lift.lift."),
    (r"^SpeUB\.conv2\.0\.", "spectral_lift.back."),
    (r"^SpeUB\.conv3\.1\.", "spectral_lift.again."),
    (r"^SpaUB\.deconv1\.0\.", "spatial_lift.lift."),
    (r"^SpaUB\.conv1\.0\.", "spatial_lift.back."),
    (r"^SpaUB\.deconv2\.0\.", "spatial_lift.again."),
    (r"^Prior\.conv1\.0\.", "prior.one."),
    (r"^Prior\.conv2\.1\.", "prior.three."),
    (r"^Prior\.conv3\.1\.", "prior.five."),
    (r"^Prior\.cat_conv\.0\.", "prior.merge."),
    (r"^SpaIGM\.", "spatial_guidance."),
    (r"^SpeIGM\.", "spectral_guidance."),
    (r"\.SpaEncoder\.E1\.1\.", ".encode_first."),
    (r"\.SpaEncoder\.E2\.1\.", ".encode_second."),
    (r"\.SpaDecoder\.D1\.1\.", ".decode_first."),
    (r"\.SpaDecoder\.D2\.1\.", ".decode_second."),
    (r"\.SpeDecoder\.conv\.1\.", ".decode."),
    (r"\.Spa_enhance\.conv1\.1\.", ".enhance.value."),
    (r"\.Spa_enhance\.conv2\.1\.", ".enhance.gate."),
    (r"\.Spe_enhance\.conv1\.1\.", ".enhance.gate."),
    (r"\.Spe_enhance\.conv2\.1\.", ".enhance.value."),
    (r"\.Sp[ae]_enhance\.conv3\.1\.", ".enhance.merge."),
    (r"\.RDB\.conv\.0\.", ".dense.enter."),
    *((rf"\.RDB\.conv{i + 1}\.1\.", f".dense.layers.{i}.") for i in range(5)),
    (r"^Fusion\.conv1\.1\.", "fusion.spatial_first."),
    (r"^Fusion\.conv2\.1\.", "fusion.spatial_second."),
    (r"^Fusion\.conv3\.1\.", "fusion.spectral_first."),
    (r"^Fusion\.conv4\.1\.", "fusion.spectral_second."),
    (r"^Fidelity1\.", ""),
    (r"^Fidelity2\.beta$", "beta"),
    (r"^Fidelity2\.ro$", "rho"),
)


def import_official(state: Mapping[str, Tensor], **arch: object) -> SMGUNet:
    """Build the authors' network with their weights.

    Parameters
    ----------
    state : mapping of str to Tensor
        State dict of ``Net`` of github.com/yansql/SMGU-Net.
    **arch
        ``niter`` (no tensor tells it; default 2, as the authors') and ``align_corners``.

    Returns
    -------
    SMGUNet
        With ``faithful=True``.

    Raises
    ------
    WeightsError
        If a key is missing, left over, or has another shape.
    """
    key = "SpeUB.conv1.1.weight"
    shape = shape_of("smgunet", state, key)
    if len(shape) != 4:
        raise WeightsError(
            f"'{key}' has the shape {shape} in the checkpoint, not (bands, guide bands, 3, 3); "
            "give the state dict of the authors' network itself"
        )
    bands, guides = shape[:2]
    given = {**arch, "faithful": True}
    network = SMGUNet(ms_bands=bands, pan_bands=guides, **given)  # type: ignore[arg-type]
    # A transposed 1x1 convolution is a 1x1 convolution with its two channel axes exchanged.
    turned = {
        key: x.transpose(0, 1) if key == "SpeUB.conv2.0.weight" and x.ndim == 4 else x
        for key, x in state.items()
    }
    load_strictly("smgunet", network, turned, _RENAMES)
    return network
