"""The summary as one page: no other files, light and dark, also on a phone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["page"]

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Batch: {{ counts.done }} of {{ counts.scenes }} scenes</title>
<style>
:root { color-scheme: light dark; --ink: #1d2228; --soft: #5d6670; --line: #d5dae0;
  --ground: #fff; --card: #f5f7f9; --bad: #a3262a; --good: #1b6e3c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e7eb; --soft: #9aa4af; --line: #39414a;
  --ground: #15191d; --card: #1c2126; --bad: #ff8f8f; --good: #7fd6a0; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground);
  margin: 1.5rem auto; max-width: 90rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 .5rem; } h2 { font-size: 1.1rem; margin: 1.8rem 0 .5rem; }
p { color: var(--soft); margin: .2rem 0; } .bad { color: var(--bad); } .good { color: var(--good); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; }
th:first-child, td:first-child, .text { text-align: left; }
td:first-child, td.bad { overflow-wrap: anywhere; }
@media (max-width: 45rem) {
  table, tbody, tr, td { display: block; width: 100%; } thead { display: none; }
  tr { background: var(--card); border-radius: .4rem; margin: .6rem 0; padding: .4rem .6rem; }
  td { border: 0; padding: .1rem 0; text-align: left; }
  td:first-child { font-weight: 600; } td:empty { display: none; }
  td[data-label]::before { content: attr(data-label) " "; color: var(--soft); }
}
</style></head><body>
<h1>{{ counts.done }} of {{ counts.scenes }} scenes by {{ model }}</h1>
<p><span class="good">{{ counts.done }} done</span>
{%- if counts.failed %}, <span class="bad">{{ counts.failed }} failed</span>{% endif %}
{%- if counts.waiting %}, {{ counts.waiting }} not done{% endif %}
{%- if verdicts %}; verdicts: {% for word, count in verdicts %}
{{- ", " if not loop.first }}{{ count }} {{ word }}{% endfor %}{% endif %}.</p>
<p>This run took {{ "%.1f"|format(seconds) }} s; {{ "%.2f"|format(megapixels) }} Mpixel of products,
{{ "%.1f"|format(work) }} s of work.</p>
<p>{% for name, version in versions.items() %}{{ ", " if not loop.first }}{{ name }} {{ version }}
{%- endfor %}</p>
{% if failed %}<h2>Failed</h2>
<div class="wide"><table><thead><tr><th>Scene</th><th class="text">Reason</th><th>Attempts</th></tr>
</thead><tbody>
{% for s in failed %}<tr><td>{{ s.scene }}</td><td class="text bad">{{ s.reason }}</td>
<td data-label="attempts">{{ s.attempts }}</td></tr>
{% endfor %}</tbody></table></div>{% endif %}
{% if done %}<h2>Products</h2>
<div class="wide"><table><thead><tr><th>Scene</th><th class="text">Sensor</th>
<th class="text">Verdict</th><th class="text">Made by</th><th>Ratio to classical</th><th>ERGAS</th>
<th>SAM, °</th><th>HQNR</th><th>Pixels</th><th>Seconds</th><th class="text">Weights of</th></tr>
</thead><tbody>
{% for s in done %}<tr><td>{{ s.scene }}</td>
<td class="text" data-label="sensor">{{ s.sensor or "" }}</td>
<td class="text {{ "good" if s.verdict == "better" }}" data-label="verdict">
{{- s.verdict or "" }}</td>
<td class="text" data-label="made by">{{ s.used or "" }}</td>
<td data-label="ratio">{{ s.rho|figure(3) }}</td><td data-label="ERGAS">{{ s.ergas|figure(3) }}</td>
<td data-label="SAM">{{ s.sam|figure(2) }}</td><td data-label="HQNR">{{ s.hqnr|figure(3) }}</td>
<td data-label="pixels">{{ s.height }} × {{ s.width }}</td>
<td data-label="seconds">{{ s.seconds|figure(1) }}</td>
<td class="text" data-label="weights of">{{ s.donor or "" }}</td></tr>
{% endfor %}</tbody></table></div>{% endif %}
{% if waiting %}<h2>Not done</h2>
<p>{% for s in waiting %}{{ ", " if not loop.first }}{{ s.scene }}{% endfor %}</p>{% endif %}
</body></html>
"""


def page(document: Mapping[str, Any]) -> str:
    """The page of a summary.

    Parameters
    ----------
    document : mapping
        From `summary_of`.

    Returns
    -------
    str
        HTML; everything that comes from files is escaped.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["figure"] = _figure
    scenes = document["scenes"]
    done = [s for s in scenes if s["status"] == "done"]
    words = [s["verdict"] for s in done if s["verdict"]]
    return environment.from_string(_PAGE).render(
        **document,
        done=done,
        failed=[s for s in scenes if s["status"] == "failed"],
        waiting=[s for s in scenes if s["status"] == "waiting"],
        verdicts=[(word, words.count(word)) for word in sorted(set(words))],
        megapixels=sum(s["height"] * s["width"] for s in done) / 1e6,
        work=sum(s["seconds"] for s in done),
    )


def _figure(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
