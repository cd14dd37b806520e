"""The HTML report in a real Chromium: it fits a phone and a desktop, and hostile text in it runs nothing."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lope_data.builds import Options, build, ingest
from lope_data.recipe import Recipe
from lope_data.report.html import render_report
from lope_data.store import Version

Chromium = Callable[..., tuple[str, str]]
HOSTILE = [
    "<script>top.pwned=1</script>",
    '"><img src=x onerror=top.pwned=1>',
    "' onmouseover='top.pwned=1",
    "</style><svg onload=top.pwned=1>",
    "</pre></div></article></body><iframe src=javascript:top.pwned=1>",
    "javascript:top.pwned=1",
    "\x00\x07\x1b[2J\x9b31m\x7f",
    "\u202eright to left\u2066\u2028",
    "<a href=javascript:top.pwned=1>",
    "a" * 700,
]


def _in_chromium(pages: dict[str, tuple[int, str]], folder: Path, chromium: Chromium) -> dict[str, Any]:
    """For each (width, page) how wide its content is, how many elements stick out, and whether it ran anything."""
    frames = "".join(
        f'<iframe id="{name}" style="border:0;width:{width}px;height:800px" srcdoc="{html.escape(page)}"></iframe>'
        for name, (width, page) in pages.items()
    )
    measure = """onload = () => { const found = {pwned: !!window.pwned};
      for (const frame of document.querySelectorAll("iframe")) {
        frame.contentDocument.querySelectorAll("details").forEach(e => e.open = true);
        const page = frame.contentDocument, root = page.documentElement, style = frame.contentWindow.getComputedStyle;
        found[frame.id] = {inner: frame.contentWindow.innerWidth, scroll: root.scrollWidth, height: root.scrollHeight,
          out: [...page.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > root.clientWidth + 1
            && !e.closest(".scroll, pre")).length,
          sides: style(page.querySelector(".sides") || page.body).gridTemplateColumns.split(" ").length,
          scripts: page.querySelectorAll("script, img, svg, iframe, object, [onerror], [onload]").length}; }
      document.title = JSON.stringify(found); }"""
    wrapper = folder / "frames.html"
    wrapper.write_text(f"<!doctype html><meta charset=utf-8><body>{frames}<script>{measure}</script>", encoding="utf-8")
    out, _ = chromium(wrapper)
    title = re.search(r"<title>(\{.*?\})</title>", out)
    assert title is not None, out[:500]
    return dict(json.loads(html.unescape(title.group(1))))


def test_in_chromium_it_fits_and_runs_nothing(
    noisy: Callable[..., Version], sample: Version, options: Options, tmp_path: Path, chromium: Chromium
) -> None:
    rows = [{"text": f"{HOSTILE[i % 10]} and {i}", "label": HOSTILE[-1 - i % 10], HOSTILE[0]: "x"} for i in range(80)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    recipe = Recipe.model_validate({"steps": [{"ratio": 0.9, "level": 0.3, "mix": {"char.case": 2, "label": 1}}]})
    hostile = build(ingest(str(tmp_path / "rows.json"), recipe, None, options), recipe, None, options)
    texts = {
        "noisy": render_report(noisy(noisy(ratio=0.3), "two", ratio=0.3), 12),
        "clean": render_report(sample, 12),
        "hostile": render_report(hostile, 60),
    }
    without_policy = re.sub(r"<meta http-equiv.*?>\n", "", texts["hostile"])
    assert without_policy != texts["hostile"]
    pages = {f"{name}{width}": (width, text) for name, text in texts.items() for width in (390, 1280)}
    found = _in_chromium(pages | {"bare": (390, without_policy)}, tmp_path, chromium)
    assert found.pop("pwned") is False
    assert len(found) == 7
    for name, page in found.items():
        assert page["inner"] == (1280 if name.endswith("1280") else 390)
        assert page["scroll"] <= page["inner"], name
        assert (page["out"], page["scripts"]) == (0, 0), name
        assert page["height"] > 2000
    assert found["noisy390"]["sides"] == 1
    assert found["noisy1280"]["sides"] == 2


def test_the_test_in_chromium_can_fail(tmp_path: Path, chromium: Chromium) -> None:
    bad = "<!doctype html><title>x</title><body><script>top.pwned=1</script><div style='width:900px'>wide</div>"
    found = _in_chromium({"bad": (390, bad)}, tmp_path, chromium)
    assert found["pwned"] is True
    assert found["bad"]["scroll"] == 900 + 8
    assert found["bad"]["out"] == 1
    assert found["bad"]["scripts"] == 1
