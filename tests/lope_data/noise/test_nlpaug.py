"""The op `nlpaug`: what nlpaug may change, that it cannot change more, and that chance is ours."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from lope_data.errors import NoiseError
from lope_data.noise.editions import newest_edition
from lope_data.noise.op import TextOp
from lope_data.noise.ops import nlpaug as nlpaug_op
from lope_data.noise.ops.nlpaug import AUGMENTERS, NlpaugParams
from lope_data.noise.ops.nlpaug import client as nlpaug_client
from lope_data.noise.ops.nlpaug.client import Worker, ask
from lope_data.noise.registry import get_op, op_version
from lope_data.text import Cells, Draw, Edits, row_hashes, splice

SENTENCE = "The quick brown fox (definitely) doesn't jump, over \"their\" lazy dog's beginning."
OPTIONS: dict[str, dict[str, Any]] = {
    "word.RandomWordAug": {"action": "substitute", "target_words": ["lorem", "ipsum"]},
    "word.ReservedAug": {"reserved_tokens": [["fox", "cat", "wolf"], ["jump", "leap"]]},
}
OFFLINE = [name for name in AUGMENTERS if name not in ("word.AntonymAug", "word.SynonymAug")]


def params_for(augmenter: str, **options: Any) -> NlpaugParams:
    return NlpaugParams(augmenter=augmenter, options=OPTIONS.get(augmenter, {}) | options)


def corrupt(texts: list[str], params: NlpaugParams, level: float = 1.0) -> tuple[list[str], Edits]:
    op = get_op("nlpaug")
    assert isinstance(op, TextOp)
    cells = Cells.of(pa.array(texts, pa.string()))
    draw = Draw((614, 1, "test", "nlpaug"), row_hashes(pa.array([str(i) for i in range(len(texts))])))
    edits, _ = op.apply(cells, draw, level, params)
    return splice(cells, edits).to_pylist(), edits


@pytest.mark.parametrize("augmenter", OFFLINE)
def test_each_offline_augmenter_changes_words_and_nothing_else(augmenter: str) -> None:
    (noisy,), edits = corrupt([SENTENCE], params_for(augmenter))
    assert len(edits) > 0
    kept, at = [], 0
    for start, end in zip(edits.start.tolist(), edits.end.tolist(), strict=True):
        kept.append(SENTENCE[at:start])
        assert re.fullmatch(r"\w\S*\w|\w", SENTENCE[start:end])
        at = end
    pieces = [*kept, SENTENCE[at:]]
    assert re.fullmatch("(.+)".join(map(re.escape, pieces)), noisy)
    assert noisy != SENTENCE


def test_words_are_nlpaugs_own(tmp_path: Path) -> None:
    """The same seed, set by hand before nlpaug is called as its manual says, gives the same word."""
    code = """
import json, random, sys
from lope_data.noise.ops.nlpaug.worker import Absent
sys.meta_path.insert(0, Absent())
import numpy as np, nlpaug.augmenter.char as nac, nlpaug.augmenter.word as naw
words = []
for aug in (nac.KeyboardAug(aug_char_max=1), naw.SplitAug()):
    for seed in range(20):
        random.seed(seed); np.random.seed(seed)
        words += aug.augment("beginning")
print(json.dumps(words))
"""
    theirs = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    questions = [("beginning", seed, 1) for seed in range(20)]
    assert theirs == ask("char.KeyboardAug", {"aug_char_max": 1}, questions) + ask("word.SplitAug", {}, questions)


def test_white_space_stays() -> None:
    text = "def function(argument):\n    return argument\t  # comment\r\n\u3000next\u00a0line \n"
    noisy, _ = corrupt([text], params_for("char.RandomCharAug"))
    spaces = re.compile(r"\s+")
    assert spaces.findall(noisy[0]) == spaces.findall(text)
    assert noisy[0].count("):") == 1


def test_emoji_and_words_like_none_survive() -> None:
    texts = [
        "👨\u200d👩\u200d👧 family",
        "word👨\u200d👩\u200d👧word longer",
        "🇩🇪🇫🇷 country",
        "👍🏽thumbs upwards",
        "None",
        "null",
        "",
        "...",
    ]
    for augmenter in OFFLINE:
        noisy, _ = corrupt(texts, params_for(augmenter))
        assert [t.split()[0] for t in noisy[:4]][0:3] == ["👨\u200d👩\u200d👧", "word👨\u200d👩\u200d👧word", "🇩🇪🇫🇷"]
        assert noisy[3].startswith("👍🏽thumbs ")
        assert all(noisy[4:6])
        assert noisy[6:] == ["", "..."]


def test_a_hit_always_changes_its_word() -> None:
    """A swap of two equal letters is none, and most swaps in this word are; every hit changes it all the same."""
    params = params_for("char.RandomCharAug", action="swap", aug_char_max=1)
    noisy, edits = corrupt(["baaaaaaaaaaaaaaaaaaa"] * 50 + ["aaaaaa"], params)
    assert len(edits) == 50
    assert all(text != "baaaaaaaaaaaaaaaaaaa" for text in noisy[:50])


def test_level_is_realised() -> None:
    texts = [f"{SENTENCE} Number {i} follows" for i in range(400)]
    for augmenter in ("char.OcrAug", "word.SpellingAug"):
        op, params = get_op("nlpaug"), params_for(augmenter)
        assert isinstance(op, TextOp)
        units = op.units(Cells.of(pa.array(texts)), params)
        _, edits = corrupt(texts, params, 0.3)
        assert len(edits) == pytest.approx(0.3 * units.count.sum(), rel=0.02)


def test_any_split_into_batches_and_any_worker_gives_the_same() -> None:
    questions = [(word, seed, 3) for seed in range(40) for word in ("beginning", "the", "receive", "Ärger", "\ud7ff!")]
    for augmenter in ("char.RandomCharAug", "word.SpellingAug", "word.SplitAug"):
        whole = ask(augmenter, {}, questions)
        assert len(set(whole)) > 5
        fresh = Worker()
        parts = [fresh.ask(augmenter, {}, questions[i : i + 7]) for i in range(0, len(questions), 7)]
        backwards = fresh.ask(augmenter, {}, questions[::-1])
        fresh.close()
        assert [word for part in parts for word in part] == whole == backwards[::-1]


def test_long_batches_are_cut() -> None:
    questions = [("beginning", seed, 1) for seed in range(nlpaug_client._CHUNK + 3)]
    answers = ask("word.RandomWordAug", {"action": "substitute"}, questions)
    assert answers == ["_"] * len(questions)
    assert ask("word.SplitAug", {}, []) == []


def test_the_options_of_one_augmenter_do_not_reach_another() -> None:
    """nlpaug keeps one spelling table for all its augmenters."""
    worker, ask_back = Worker(), [("hierachically", 1, 4)]
    assert worker.ask("word.SpellingAug", {"include_reverse": False}, ask_back) == [None]
    assert worker.ask("word.SpellingAug", {}, ask_back) == ["hierarchically"]
    assert worker.ask("word.SpellingAug", {"include_reverse": False}, ask_back) == [None]
    worker.close()


def test_the_hash_seed_of_the_parent_does_not_matter() -> None:
    code = f"""
import sys
sys.path[:0] = {[str(Path(__file__).parent), str(Path(nlpaug_op.__file__).parents[4])]!r}
from test_nlpaug import SENTENCE, corrupt, params_for
print(ascii(corrupt([SENTENCE] * 30, params_for("word.SpellingAug"))[0]))
assert "nlpaug" not in sys.modules  # importing it takes seconds
"""
    env = os.environ | {"PYTHONHASHSEED": "random"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=env, text=True)
    here, _ = corrupt([SENTENCE] * 30, params_for("word.SpellingAug"))
    assert run.stdout.strip() == ascii(here)
    assert len(set(here)) > 5


def test_global_generators_are_neither_read_nor_written() -> None:
    results = []
    for seed in (1, 2):
        nlpaug_op._changes.clear()
        random.seed(seed)
        np.random.seed(seed)
        before = random.getstate(), np.random.get_state(legacy=False)
        results.append(corrupt([SENTENCE] * 5, params_for("char.KeyboardAug"))[0])
        after = random.getstate(), np.random.get_state(legacy=False)
        assert repr(before) == repr(after)
    assert results[0] == results[1]


def test_what_was_asked_before_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{SENTENCE} {i} again" for i in range(20)]
    params = params_for("word.SplitAug")
    nlpaug_op._changes.clear()
    cold, _ = corrupt(texts, params, 0.3)
    warm, _ = corrupt(texts, params, 0.3)
    monkeypatch.setattr(nlpaug_op, "_CACHED", 2)
    nlpaug_op._changes.clear()
    full, _ = corrupt(texts, params, 0.3)
    assert cold == warm == full


def test_a_killed_worker_is_started_again() -> None:
    worker = Worker()
    questions = [("beginning", 5, 1)]
    first = worker.ask("char.KeyboardAug", {}, questions)
    assert worker._process is not None
    worker._process.kill()
    assert worker.ask("char.KeyboardAug", {}, questions) == first
    worker.close()
    assert worker.ask("char.KeyboardAug", {}, questions) == first
    worker.close()


def test_a_worker_that_dies_again_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "worker.py").write_text("import sys; sys.exit('out of luck\\n')")
    monkeypatch.setattr(nlpaug_client, "__file__", str(tmp_path / "client.py"))
    with pytest.raises(NoiseError, match=r"char\.KeyboardAug died: out of luck"):
        Worker().ask("char.KeyboardAug", {}, [("beginning", 5, 1)])


def test_threads_have_a_worker_each() -> None:
    want = [ask("char.KeyboardAug", {}, [("beginning", seed, 1)]) for seed in range(8)]
    got: dict[int, list[list[str | None]]] = {}

    def work(seed: int) -> None:
        got[seed] = [ask("char.KeyboardAug", {}, [("beginning", seed, 1)]) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {seed: [want[seed]] * 20 for seed in range(8)}


@pytest.mark.parametrize("augmenter", ["word.SynonymAug", "word.AntonymAug"])
def test_wordnet_that_is_not_there_is_told(augmenter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nltk").mkdir()
    (tmp_path / "nltk/__init__.py").write_text("raise ModuleNotFoundError('no nltk')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    worker = Worker()
    with pytest.raises(NoiseError, match=rf"nlpaug's {augmenter} cannot be used: .*pip install nltk"):
        worker.ask(augmenter, {}, [("good", 1, 1)])
    worker.close()
    (tmp_path / "nltk/__init__.py").write_text(
        "def download(name): raise SystemExit('went online')\n"
        "def pos_tag(words): raise LookupError('a banner\\nof many lines')\n"
    )
    (tmp_path / "nltk/corpus.py").write_text("class wordnet:\n    synsets = lambda *_, **__: []\n")
    with pytest.raises(NoiseError, match=r"nltk's data is missing; get it with: python -m nltk\.downloader wordnet"):
        worker.ask(augmenter, {}, [("good", 1, 1)])
    worker.close()


def test_synonyms_come_from_wordnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nltk").mkdir()
    (tmp_path / "nltk/__init__.py").write_text("def pos_tag(words): return [(word, 'JJ') for word in words]\n")
    (tmp_path / "nltk/corpus.py").write_text(
        "class Lemma:\n"
        "    name = lambda self: 'very_fine'\n"
        "class Synset:\n"
        "    lemmas = lambda self, lang: [Lemma()]\n"
        "class wordnet:\n"
        "    synsets = lambda word, pos=None, lang='eng': [Synset()] if word in ('good', 'Good') else []\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    worker = Worker()
    questions = [("Good", 1, 1), ("bad", 1, 1)]
    assert worker.ask("word.SynonymAug", {}, questions) == ["Very fine", None]
    worker.close()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"augmenter": "KeybordAug"}, r"none of nlpaug's.*word\.SplitAug.*did you mean 'char\.KeyboardAug'"),
        ({"augmenter": "word.ContextualWordEmbsAug"}, r"change words offline \(char\.KeyboardAug, "),
        ({"augmenter": "word.TfIdfAug"}, "change words offline"),
        ({"augmenter": "sentence.RandomSentAug"}, "change words offline"),
        ({"augmenter": "audio.NoiseAug"}, "change words offline"),
        ({"options": {"aug_char_q": 0.1}}, r"unknown option 'aug_char_q'.*did you mean 'aug_char_p'"),
        ({"options": {"aug_char_p": "much"}}, "'aug_char_p' of nlpaug's char.KeyboardAug must be a number from 0 to 1"),
        ({"options": {"aug_char_min": True}}, "must be a whole number"),
        ({"options": {"lang": "xx"}}, "must be 'de' or 'en'"),
        ({"options": {"aug_word_p": 0.3}}, "is the level of the recipe's step"),
        ({"options": {"model_path": "keys.json"}}, "names no files"),
        ({"augmenter": "char.OcrAug", "options": {"dict_of_path": "x.json"}}, "names no files"),
        ({"options": {"tokenizer": "x"}}, "cut out before"),
        ({"augmenter": "word.RandomWordAug"}, "needs the option 'action': 'substitute'"),
        ({"augmenter": "word.RandomWordAug", "options": {"action": "delete"}}, "must be 'substitute', not 'delete'"),
        ({"augmenter": "word.ReservedAug"}, "needs the option 'reserved_tokens': a list of lists of texts"),
        ({"augmenter": "word.SynonymAug", "options": {"aug_src": "ppdb"}}, "must be 'wordnet'"),
    ],
)
def test_what_cannot_be_run_is_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        NlpaugParams(**params)


def test_an_option_that_only_nlpaug_can_judge_is_an_error() -> None:
    with pytest.raises(NoiseError, match=r"char\.KeyboardAug cannot be used: .*unterminated"):
        corrupt([SENTENCE], params_for("char.KeyboardAug", stopwords_regex="("))


def test_options_are_those_of_nlpaug() -> None:
    """Each option in the table is a parameter of its augmenter, so that none is refused later."""
    code = """
import inspect, json, sys
from lope_data.noise.ops.nlpaug.worker import Absent
sys.meta_path.insert(0, Absent())
import nlpaug.augmenter.char as char, nlpaug.augmenter.word as word
kinds = {f"{m}.{n}": getattr(globals()[m], n) for m, n in (name.split(".") for name in sys.argv[1:])}
print(json.dumps({name: list(inspect.signature(kind).parameters) for name, kind in kinds.items()}))
"""
    run = subprocess.run([sys.executable, "-c", code, *AUGMENTERS], capture_output=True, check=True)
    ignored = {"name", "verbose", "force_reload", "generate_all_combinations"}
    for name, parameters in json.loads(run.stdout).items():
        unlisted = set(parameters) - set(AUGMENTERS[name]) - set(nlpaug_op._REFUSED) - ignored
        assert set(AUGMENTERS[name]) <= set(parameters), name
        assert unlisted <= ({"action"} if name == "word.ReservedAug" else set()), name


def test_stop_words_and_short_words_are_no_units() -> None:
    noisy, _ = corrupt(
        ["Leave these words alone but change others"],
        params_for("char.KeyboardAug", stopwords=["Leave", "these"], min_char=5),
    )
    words = noisy[0].split()
    assert words[:2] == ["Leave", "these"]
    assert words[3] != "alone"
    assert words[4] == "but"


def test_op_is_used_by_its_own_name_and_names_nlpaugs_version() -> None:
    op = get_op("nlpaug")
    assert op.name not in newest_edition().ops
    assert re.fullmatch(r"1\+[0-9a-f]{8}", op_version(op, NlpaugParams()))
