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
# # First fusion
#
# **Question.** A PAN image is sharp and has one band; the MS image has colours and large pixels.
# What does a fusion of the two look like, and how do you know that it is good?
#
# Set `SCENE` to the path of your own scene, and everything below runs on it: a delivery folder,
# an archive, or one half of a GeoTIFF pair whose partner lies beside it. With `None` a
# WorldView-3 pair is simulated from a real hyperspectral cube. Only a simulation has a *truth*,
# the sharp MS image that no satellite has seen.

# %% tags=["parameters"]
SCENE = None

# %%
import tempfile
from pathlib import Path

import numpy as np

import pansharp as ps
from pansharp.simulate import load_indian_pines, simulate_pair, write_pair

folder = Path(tempfile.mkdtemp())
if SCENE is None:
    cube, wavelengths = load_indian_pines()
    pair = simulate_pair(cube, wavelengths, sensor="worldview3", ratio=2, seed=0)
    pan, ms, reference = write_pair(pair, folder, name="indian_pines")
    scene, truth = ps.open_scene(pan=pan, ms=ms, sensor="worldview3"), ps.open_product(reference)
else:
    scene, truth = ps.open_scene(SCENE), None
    rows, columns = scene.shape[1:]
    if rows * columns > 1024**2:  # the middle of a large scene: minutes instead of hours
        scene = ps.open_scene(
            SCENE, window=(max(0, rows // 2 - 512), max(0, columns // 2 - 512), 1024, 1024)
        )

# %% [markdown]
# ## What there is
#
# Before anything is computed the scene says what it is. `ratio` is the size of an MS pixel in PAN
# pixels.

# %%
print(f"scene      {scene.name}, sensor {scene.sensor.label if scene.sensor else 'unknown'}")
print(f"product    {scene.shape[0]} bands of {scene.shape[1]} x {scene.shape[2]} pixels")
print(f"MS         {' x '.join(str(n) for n in scene.ms.shape[1:])} pixels, ratio {scene.ratio:g}")
print(f"bands      {', '.join(scene.band_names)}")
print(f"truth      {'yes, simulated' if truth is not None else 'none: a real scene has no truth'}")
for note in scene.notes:
    print("note      ", note)

# %%
ps.plotting.rgb(scene=scene, reference=truth)

# %% [markdown]
# *Reading.* The images lie on the same ground, and all colours have one stretch: what is brighter
# here is brighter in the data. The PAN shows edges of fields that the MS only hints at. The
# fusion must bring them into the MS without touching its colours.

# %% [markdown]
# ## Three fusions
#
# * `exp` is the MS, interpolated. It adds nothing, and is what every method has to beat.
# * `mtf-glp-fs` adds the detail of the PAN, weighted by a regression and matched to the blur of
#   the sensor. No training, a second.
# * `rescnn-tiny` is a small network that is trained now, on this very pair: it learns to fuse the
#   pair made coarser by its own ratio, where the MS itself is the truth.

# %%
products = {
    "exp": ps.fuse(scene, "exp").compute(),
    "mtf-glp-fs": ps.fuse(scene, "mtf-glp-fs").compute(),
    "rescnn-tiny": ps.fuse(scene, "rescnn-tiny", seed=0).compute(),
}
ps.plotting.rgb(products, reference=truth)

# %%
rows, columns = scene.shape[1:]
side = min(48, rows // 2, columns // 2)
places = {"A": (columns * 0.35, rows * 0.3), "B": (columns * 0.7, rows * 0.65)}
ps.plotting.zoom(products, places, coords="pixel", side=side, ms=scene.ms, reference=truth)

# %% [markdown]
# *Reading.* Look for two things. Are edges as sharp as in the PAN? `exp` blurs them by
# construction. Are the colours of whole fields still those of the MS? A fused field that is
# paler, darker or of another hue than its MS pixels has been paid for with spectra.

# %% [markdown]
# ## The score card
#
# Every fusion is judged without a truth: the pair is made coarser by its own ratio and fused, and
# the original MS is what should come out. Blocks that the training has seen do not count. `rho`
# is the ERGAS of the network over that of the best classical method; the verdict is `better` only
# when its whole interval lies below 1 on enough blocks. A network that is `worse` is replaced by
# that method: then `used` differs from what was asked.

# %%
card = products["rescnn-tiny"].attrs["pansharp_card"]
reduced = card["reduced"]
print(f"asked {card['model']['name']}, used {card['model']['used']}, verdict {card['verdict']}")
if "rho" in reduced:
    low, high = reduced["rho_interval"]
    print(f"rho {reduced['rho']:.3f} ({low:.3f} to {high:.3f}) on {reduced['blocks']} blocks,")
    print(f"against {reduced['classical_name']}, the best classical method on this scene")
for text in card.get("warnings", []):
    print("warning:", text)

# %% [markdown]
# ## And the truth?
#
# ERGAS sums up the errors of all bands (0 is perfect), SAM is the angle between spectra in
# degrees (0), Q2n compares blocks of all bands at once (1). Without a truth the table holds the
# scores of the card: the same indices, one ratio coarser.

# %%
if truth is not None:
    reports = {
        name: ps.evaluate(reference=truth, fused=product, ratio=scene.ratio)
        for name, product in products.items()
    }
else:
    reports = {
        name: ps.Report(product.attrs["pansharp_card"]["reduced"].get("model", {}), "reduced")
        for name, product in products.items()
    }
ps.Report.compare(reports)

# %%
if truth is not None:
    figure = ps.plotting.band_bars(products, truth, ratio=scene.ratio)
else:
    figure = ps.plotting.scatter(products["rescnn-tiny"], scene=scene)
figure

# %%
key = "ergas"
values = {name: report.scores.get(key, np.nan) for name, report in reports.items()}
best = min(values, key=values.get)
print(f"Lowest ERGAS: {best} with {values[best]:.3f}; interpolation has {values['exp']:.3f}.")
print(f"The card, which never saw the truth, says of rescnn-tiny: {card['verdict']}.")

# %% [markdown]
# *Reading.* The gain is not the same in all bands. The PAN of WorldView-3 sees 450 to 800 nm.
# From blue to red every fusion gains much. In the near infrared the demo shows what the average
# hides: `mtf-glp-fs` is *worse there than plain interpolation*, because the edges that the PAN
# sees are not those of the infrared. The network gains in all bands, least in `coastal`, where it
# does no better than `mtf-glp-fs`. The card, which never saw the truth, is careful where blocks
# are few: it says `equal` where the truth sees a gain.
#
# Your own scene has no truth; there the figure shows the product, brought back to the MS grid,
# against the MS. Points off the line are spectra that the fusion has changed. Points on the line
# are necessary, not enough: they say nothing about the detail inside an MS pixel.

# %% [markdown]
# ## Spectra
#
# The darkest, the middle and the brightest pixel of the scene: MS, products and truth.

# %%
brightness = products["mtf-glp-fs"].mean("band").values
order = np.argsort(brightness, axis=None)[: np.isfinite(brightness).sum()]
spots = {
    name: np.unravel_index(order[int(share * (order.size - 1))], brightness.shape)[::-1]
    for name, share in {"darkest": 0.0, "middle": 0.5, "brightest": 1.0}.items()
}
ps.plotting.spectrum(products, points=spots, coords="pixel", ms=scene.ms, reference=truth)

# %% [markdown]
# *Reading.* A bright or dark spot is often smaller than an MS pixel, so the MS shows it mixed
# with its neighbours. A good product leaves the MS there, towards the truth; one that lies on the
# MS has not been sharpened. In the demo the middle pixel is in the midst of a field: everything
# agrees. The extremes do not: `mtf-glp-fs` pulls the visible bands too far and leaves the
# infrared where it was, and the network goes most of the way, not all of it.

# %% [markdown]
# ## Keep it
#
# `ps.write` streams the product into a cloud-optimised GeoTIFF; it appears only when it is
# complete. The command line does all of this with `pansharp fuse SCENE -m rescnn-tiny -o
# fused.tif`, which also writes the card beside the file.

# %%
path = folder / "fused.tif"
ps.write(products["rescnn-tiny"], path, dtype=str(scene.dtype))
ps.open_product(path)
