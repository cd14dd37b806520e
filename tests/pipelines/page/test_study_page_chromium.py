"""The page of a study in a real Chromium: it fits a phone and a desktop, and says nothing on the console."""

from __future__ import annotations

import html
import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.page.page import write_page

Chromium = Callable[..., tuple[str, str]]
MEASURE = """onload = () => { const found = {pwned: !!window.pwned};
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument, root = page.documentElement;
    page.querySelectorAll("details").forEach(e => e.open = true);
    const text = [...page.querySelectorAll(".panel svg text")].map(e => e.getBoundingClientRect().height);
    found[frame.id] = {inner: frame.contentWindow.innerWidth, scroll: root.scrollWidth, height: root.scrollHeight,
      out: [...page.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > root.clientWidth + 1
        && !e.closest(".scroll, pre, svg")).length, panels: page.querySelectorAll(".panel svg path").length,
      least: Math.min(...text), scripts: page.querySelectorAll("script, img, iframe, object, [onerror]").length}; }
  document.title = JSON.stringify(found); }"""


def _samples() -> Any:
    """The made-up studies of the other tests of the page."""
    spec = importlib.util.spec_from_file_location("_study_page", Path(__file__).with_name("test_study_page.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_fits_a_phone_and_a_desktop_and_runs_nothing(chromium: Chromium, tmp_path: Path) -> None:
    samples = _samples()
    frames = ""
    for name, given in (("whole", samples.outcome()), ("hostile", samples.hostile())):
        write_page(given, tmp_path / f"{name}.html")
        text = (tmp_path / f"{name}.html").read_text(encoding="utf-8")
        bare = re.sub(r"<meta http-equiv.*?>\n", "", text)
        assert bare != text
        for policy, page in (("", text), ("-bare", bare)):
            frames += "".join(
                f'<iframe id="{name}{policy}-{width}" style="border:0;width:{width}px;height:800px" '
                f'srcdoc="{html.escape(page)}"></iframe>'
                for width in (390, 1280)
            )
    wrapper = tmp_path / "frames.html"
    wrapper.write_text(f"<!doctype html><meta charset=utf-8><body>{frames}<script>{MEASURE}</script>", encoding="utf-8")
    out, _ = chromium(wrapper)
    title = re.search(r"<title>(\{.*?\})</title>", out)
    assert title is not None, out[:500]
    found = dict(json.loads(html.unescape(title.group(1))))
    assert found.pop("pwned") is False
    assert len(found) == 8
    for name, page in found.items():
        assert page["inner"] == int(name.rpartition("-")[2])
        assert page["scroll"] <= page["inner"], name
        assert (page["out"], page["scripts"]) == (0, 0), name
        assert page["height"] > 2000
        assert page["panels"] > 100
        assert page["least"] >= 8, name  # pixels, of a line of text


@pytest.mark.parametrize("width", [390, 1280])
def test_the_console_stays_empty(chromium: Chromium, tmp_path: Path, width: int) -> None:
    write_page(_samples().outcome(seeds=2), tmp_path / "page.html")
    out, said = chromium(tmp_path / "page.html", f"--window-size={width},900")
    assert "Findings" in out
    assert said == ""
    bad = tmp_path / "bad.html"
    bad.write_text("<meta http-equiv=Content-Security-Policy content=\"default-src 'none'\"><script>1</script>")
    assert "CONSOLE" in chromium(bad)[1]
