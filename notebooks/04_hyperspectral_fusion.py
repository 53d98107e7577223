# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Hyperspectral fusion and material spectra
#
# **Question.** A hyperspectral image (HSI) has hundreds of narrow channels and coarse pixels, a
# multispectral image (MSI) few bands and fine ones. Fused, they promise a full spectrum for every
# fine pixel. Is that spectrum the one of the material there, or that of the MSI dressed up?
#
# Set `SCENE` to a pair of paths, `("hsi.tif", "msi.tif")`, or to one path of a delivery that
# holds both (PRISMA). With `None` a pair at ratio 4 is simulated from the AVIRIS cube Indian
# Pines, which is then the truth.

# %% tags=["parameters"]
SCENE = None

# %%
import tempfile
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import pansharp as ps
from pansharp.simulate import load_indian_pines, simulate_hsi_msi, write_hsi_msi

# Each card keeps its warnings.
warnings.filterwarnings("ignore", category=ps.errors.PansharpWarning)
if SCENE is None:
    cube, wavelengths = load_indian_pines()
    pair = simulate_hsi_msi(cube, wavelengths, sensor="worldview3", ratio=4, seed=0)
    hsi, msi = write_hsi_msi(pair, Path(tempfile.mkdtemp()), name="indian_pines")
    scene, truth = (
        ps.open_scene(hsi=hsi, msi=msi, sensor="worldview3"),
        pair.reference.astype(float),
    )
    dark = 1000.0  # counts of this cube at no light
else:
    given = (
        {"path": SCENE}
        if isinstance(SCENE, str | Path)
        else dict(zip(("hsi", "msi"), SCENE, strict=True))
    )
    scene, truth, dark = ps.open_scene(**given), None, 0.0
    rows, columns = scene.shape[1:]
    if rows * columns > 512**2:  # the middle of a large scene: minutes instead of hours
        scene = ps.open_scene(
            **given, window=(max(0, rows // 2 - 256), max(0, columns // 2 - 256), 512, 512)
        )

centres = (
    np.asarray(scene.wavelengths) if scene.wavelengths else np.arange(scene.bands, dtype=float)
)
axis_label = "wavelength (nm)" if scene.wavelengths else "channel"
print(f"HSI   {scene.bands} channels, {scene.ms.shape[1]} x {scene.ms.shape[2]} pixels")
print(f"MSI   {scene.pan.shape[0]} bands, {scene.pan.shape[1]} x {scene.pan.shape[2]} pixels")
print(f"ratio {scene.ratio:g}; truth: {'the cube itself' if truth is not None else 'none'}")

# %% [markdown]
# ## The fusions
#
# * no fusion: the HSI, interpolated to fine pixels;
# * `gsa-hs`: the detail of the MSI, added by a linear regression;
# * `fuse-sylvester`: the image that explains both images best, given the statistics of the
#   spectra;
# * `rfridge`: a nonlinear regression, fitted to this scene in closed form, with no training data.

# %%
low = scene.ms.astype("float64").compute()
if scene.nodata is not None:
    low = low.where(low != scene.nodata)
fine = {"y": scene.pan.y, "x": scene.pan.x}
held = {n: at.clip(low[n].min().item(), low[n].max().item()).values for n, at in fine.items()}
spread = low.interp(held).assign_coords(fine)  # at the rim: the outermost HSI pixel
methods = ["gsa-hs", "fuse-sylvester", "rfridge"]
fused = {name: ps.fuse(scene, name, force=(name == "rfridge")).compute() for name in methods}
products = {"no fusion": spread, **fused}

# %%
cards = {name: product.attrs["pansharp_card"] for name, product in fused.items()}
rows = {}
for name, product in products.items():
    model = cards[name]["reduced"].get("model", {}) if name in cards else {}
    row = {"reduced ERGAS": model.get("ergas", np.nan), "reduced SAM": model.get("sam", np.nan)}
    if truth is not None:
        row["true ERGAS"] = ps.evaluation.ergas(truth, product.values, ratio=scene.ratio)
        row["true SAM"] = ps.evaluation.sam(truth, product.values)
    rows[name] = row
table = pd.DataFrame(rows).T
table.round(3)

# %% [markdown]
# *Reading.* In the demo all three bring the error down to about half of that of no fusion.
# `reduced` is what the card says without the truth, one ratio coarser. In the demo the order of
# the methods there is the order against the truth. That is not a law, see the benchmarks in the
# documentation.


# %%
def nearest(wanted):
    return int(np.abs(centres - wanted).argmin())


if scene.wavelengths:
    shown = [nearest(w) for w in (1650, 850, 660) if centres.min() < w < centres.max()]
    shown = shown if len(shown) == 3 else [scene.bands // 2] * 3
else:
    shown = [3 * scene.bands // 4, scene.bands // 2, scene.bands // 4]
below = (low.y >= scene.pan.y.min()) & (low.y <= scene.pan.y.max())
below = below & (low.x >= scene.pan.x.min()) & (low.x <= scene.pan.x.max())
pictures = {"HSI": low.where(below, drop=True), **fused}
if truth is not None:
    pictures["truth"] = spread.copy(data=truth)
edges = np.nanpercentile(low.values[shown], (1, 99), axis=(1, 2))
figure, axes = plt.subplots(
    1, len(pictures), figsize=(3.0 * len(pictures), 3.5), layout="constrained"
)
for ax, (name, image) in zip(axes, pictures.items(), strict=True):
    colours = (image.values[shown] - edges[0][:, None, None]) / (edges[1] - edges[0])[:, None, None]
    ax.imshow(np.moveaxis(np.clip(np.nan_to_num(colours), 0, 1), 0, 2), interpolation="nearest")
    ax.set_title(name, fontsize=10)
    ax.set_axis_off()
figure.suptitle(
    "red, green, blue = "
    + ", ".join(f"{centres[i]:.0f}" for i in shown)
    + f", {axis_label}, one stretch",
    fontsize=10,
)
plt.show()

# %% [markdown]
# *Reading.* The red of this picture is a channel of the short-wave infrared that the MSI (bands
# up to about 950 nm) has never seen. Its detail is inferred: from spectra in the HSI that go
# together with what the MSI sees. To the eye it is hard to tell from the truth. That is why the
# next figures look at numbers.

# %% [markdown]
# ## Where in the spectrum is the error?


# %%
def order_of(values):
    """Wavelengths in ascending order: spectrometers of one instrument may overlap."""
    return np.argsort(values, kind="stable")


def broken(x, *lines, gap=60.0):
    """NaN where channels were removed, so that no line is drawn across."""
    holes = np.flatnonzero(np.diff(x) > gap) + 1 if scene.wavelengths else []
    return [np.insert(np.asarray(line, dtype=float), holes, np.nan) for line in (x, *lines)]


shade = {
    "no fusion": "0.55",
    "gsa-hs": "#0072B2",
    "fuse-sylvester": "#009E73",
    "rfridge": "#D55E00",
}
style = {"no fusion": "-", "gsa-hs": "-", "fuse-sylvester": "--", "rfridge": "-"}
order = order_of(centres)
if truth is not None:
    signal = truth.mean(axis=(1, 2)) - dark
    figure, ax = plt.subplots(figsize=(11, 3.8), layout="constrained")
    for name, product in products.items():
        error = np.sqrt(((product.values - truth) ** 2).mean(axis=(1, 2))) / signal * 100
        x, y = broken(centres[order], error[order])
        ax.plot(x, y, style[name], color=shade[name], label=name, linewidth=1.3)
    guide = [b.centre_nm for b in scene.sensor.match(pair.band_names, len(pair.band_names))]
    for number, centre in enumerate(guide):
        ax.axvline(centre, color="0.85", zorder=0, label=None if number else "bands of the MSI")
    ax.set_yscale("log")
    ax.set_xlabel(axis_label)
    ax.set_ylabel("RMSE (% of the mean signal)")
    ax.legend(fontsize=9, frameon=False, ncols=5)
    ax.grid(color="0.93", which="both")
    plt.show()
    inside = (centres >= min(guide)) & (centres <= max(guide))
    for name in methods:
        gain = np.sqrt(((products[name].values - truth) ** 2).mean(axis=(1, 2)))
        gain = gain / np.sqrt(((spread.values - truth) ** 2).mean(axis=(1, 2)))
        print(
            f"{name:15} error left, in per cent of no fusion: {100 * np.median(gain[inside]):.0f} "
            f"within the range of the MSI, {100 * np.median(gain[~inside]):.0f} beyond"
        )
else:
    print("absent: the truth; see the consistency figure at the end")

# %% [markdown]
# *Reading.* Within the range of the MSI the fusions take most of the error away. Beyond it they
# still take a good part, and a smaller one: that is the price of inference, and `rfridge` pays
# least. Where the signal itself is weak (absorption by oxygen and water near 760, 940 and 1130
# nm, both ends of the gaps, the far end of the spectrum) noise is the error, and no fusion takes
# it away.

# %% [markdown]
# ## Materials
#
# Spectra of single fine pixels, chosen by rule and not by eye: the greenest, the brightest, the
# one with the lowest NDVI in the bright half of the scene (roofs, roads), and the darkest.

# %%
guide_image = (truth if truth is not None else fused["fuse-sylvester"].values) - dark
if scene.wavelengths and centres.min() < 660 and centres.max() > 850:
    red, infrared = guide_image[nearest(660)], guide_image[nearest(850)]
else:
    red, infrared = guide_image[scene.bands // 4], guide_image[scene.bands // 2]
with np.errstate(invalid="ignore", divide="ignore"):
    ndvi = np.where(red + infrared > 0, (infrared - red) / (infrared + red), np.nan)
total = guide_image.mean(axis=0)
bright = total > np.nanpercentile(total, 50)
picks = {
    "greenest": np.nanargmax(np.where(bright, ndvi, np.nan)),
    "brightest": np.nanargmax(total),
    "lowest NDVI": np.nanargmin(np.where(bright, ndvi, np.nan)),
    "darkest": np.nanargmin(total),
}
places = {name: np.unravel_index(at, total.shape) for name, at in picks.items()}

figure, axes = plt.subplots(2, 2, figsize=(12, 7), layout="constrained", sharex=True)
for ax, (name, (row, column)) in zip(axes.flat, places.items(), strict=True):
    coarse = low.sel(y=scene.pan.y[row], x=scene.pan.x[column], method="nearest").values
    x, y = broken(centres[order], coarse[order] - dark)
    ax.plot(x, y, color="0.6", linestyle=":", label="HSI pixel")
    for label in ("fuse-sylvester", "rfridge"):
        x, y = broken(centres[order], fused[label].values[order, row, column] - dark)
        ax.plot(x, y, color=shade[label], linewidth=1.2, label=label)
    if truth is not None:
        x, y = broken(centres[order], truth[order, row, column] - dark)
        ax.plot(x, y, color="black", linestyle="--", linewidth=1.1, label="truth")
    ax.set_title(f"{name} (row {row}, column {column})", fontsize=10)
    ax.grid(color="0.93")
axes[0, 0].legend(fontsize=9, frameon=False)
for ax in axes[1]:
    ax.set_xlabel(axis_label)
for ax in axes[:, 0]:
    ax.set_ylabel("counts above dark")
plt.show()


# %%
def angle(first, second):
    """Degrees between two spectra."""
    known = np.isfinite(first) & np.isfinite(second)
    a, b = first[known], second[known]
    return np.degrees(np.arccos(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1, 1)))


if truth is not None:
    rows = {}
    for name, (row, column) in places.items():
        real = truth[:, row, column] - dark
        coarse = low.sel(y=scene.pan.y[row], x=scene.pan.x[column], method="nearest").values - dark
        rows[name] = {"HSI pixel": angle(coarse, real)}
        rows[name] |= {m: angle(fused[m].values[:, row, column] - dark, real) for m in methods}
    materials = pd.DataFrame(rows).T
    print("angle to the true spectrum, degrees")
    print(materials.round(2).to_string())
    worst = materials[methods].min(axis=1).idxmax()
    print(f"hardest: {worst}; best fusion there {materials.loc[worst, methods].min():.1f} degrees")

# %% [markdown]
# *Reading.* Where the HSI pixel is pure all curves agree, and there was nothing to unmix: in the
# demo the greenest pixel. The brightest and the darkest are the test: small things in a pixel of
# something else. Up to 1000 nm, where the MSI sees, the fusions follow the truth although the HSI
# pixel is far from it (the darkest pixel lies beside plants whose infrared fills the HSI pixel).
# Beyond, they slide back towards the HSI pixel: that part of the spectrum is borrowed from common
# materials, and `rfridge` borrows best. The ripples of the truth between 1150 and 1350 nm are
# those of the instrument; no fusion knows them. Use fused spectra for mapping what the HSI has
# seen many times, not for identifying what it has seen once.

# %% [markdown]
# ## Mixed or pure?
#
# How far is each fine pixel from the HSI pixel that it lies in? The larger this angle, the more
# the fusion has to invent, and the more it can gain or fail. The fine pixels are sorted by it
# into ten equal groups.


# %%
def angles(image, other):
    a, b = image - dark, other - dark
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = (a * b).sum(axis=0) / np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


blocks = low.sel(y=scene.pan.y, x=scene.pan.x, method="nearest").values
if truth is not None:
    mixing = angles(blocks, truth)
    steps = np.quantile(mixing, np.linspace(0, 1, 11))
    group = np.clip(np.searchsorted(steps, mixing, side="right") - 1, 0, 9)
    figure, ax = plt.subplots(figsize=(8, 3.8), layout="constrained")
    middle = [np.median(mixing[group == g]) for g in range(10)]
    ax.plot(middle, middle, color="0.6", linestyle=":", label="HSI pixel, as it is")
    for name in methods:
        left = angles(fused[name].values, truth)
        rest = [np.median(left[group == g]) for g in range(10)]
        ax.plot(middle, rest, style[name], color=shade[name], marker="o", markersize=4, label=name)
    ax.set_xlabel("angle between HSI pixel and truth (degrees), ten groups")
    ax.set_ylabel("angle left after fusion (degrees)")
    ax.legend(frameon=False, fontsize=9)
    ax.grid(color="0.9")
    plt.show()
    pure, mixed = group == 0, group == 9
    for name in methods:
        left = angles(fused[name].values, truth)
        print(f"{name:15} purest tenth {np.median(left[pure]):.2f} (was {middle[0]:.2f}), "
              f"most mixed tenth {np.median(left[mixed]):.2f} (was {middle[9]:.2f})")  # fmt: skip
else:
    figure, ax = plt.subplots(figsize=(6, 4.5), layout="constrained")
    change = angles(blocks, fused["rfridge"].values)
    picture = ax.imshow(change, cmap="cividis", vmax=np.nanpercentile(change, 99))
    figure.colorbar(picture, ax=ax, label="degrees")
    ax.set_title("angle between the HSI pixel and rfridge: where it had most to say", fontsize=10)
    ax.set_axis_off()
    plt.show()

# %% [markdown]
# *Reading.* Below the dotted line a fusion has brought the spectrum nearer to the truth. In the
# purest pixels hardly anything can be gained, and nothing is lost. The more mixed a pixel was,
# the more is gained; what is left grows slowly, and never reaches the noise of the purest pixels.

# %% [markdown]
# ## The card's word

# %%
for name, card in cards.items():
    reduced = card["reduced"]
    told = (
        f"rho {reduced['rho']:.3f} against {reduced['classical_name']}"
        if "rho" in reduced
        else "not rehearsed"
    )
    print(f"{name:15} verdict {card['verdict']}, {told}")
    for text in card.get("warnings", []):
        print("                warning:", text)
