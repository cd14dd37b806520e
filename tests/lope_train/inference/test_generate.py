"""Answers of a run: what the model itself says, through its own template, and nothing else on stdout."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, GenerationConfig

from lope_train import cli
from lope_train.cli import converse
from lope_train.data import PromptTemplate
from lope_train.errors import LopeTrainError, RunError, SettingsError
from lope_train.inference.chat import Chat, Sampling, open_chat
from lope_train.methods import METHODS
from lope_train.runs import WEIGHTS, load_run
from lope_train.settings import TrainSettings
from lope_train.training import train
from lope_train.tuner import Inference, set_mode

TOKENS = 12
CHAT_TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture
def stirred(tmp_path: Path) -> Callable[[Path], Path]:
    """A copy of a run whose adapter has large values of its own, so that it changes what is said."""

    def stir(run: Path) -> Path:
        folder = Path(shutil.copytree(run, tmp_path / "stirred"))
        drawn = torch.Generator().manual_seed(5)
        weights = load_file(folder / WEIGHTS)
        save_file(
            {name: 2 * torch.randn(value.shape, generator=drawn) for name, value in weights.items()}, folder / WEIGHTS
        )
        return folder

    return stir


def likeliest(model: Any, tokenizer: Any, question: str) -> str:
    """The greedy answer, a token at a time, without a cache."""
    row = {"lope_shape": "instruction", "instruction": question, "output": "?"}
    template = PromptTemplate(tokenizer)
    example = template.render(row)
    assert example is not None
    prompt = torch.tensor(template.encode_prompts([example.prompt]))
    both_halves = model.get_base_model().config.is_encoder_decoder
    ids = torch.tensor([[model.get_base_model().config.decoder_start_token_id]]) if both_halves else prompt
    start = ids.shape[1]
    with torch.inference_mode():
        for _ in range(TOKENS):
            given = {"input_ids": prompt, "decoder_input_ids": ids} if both_halves else {"input_ids": ids}
            token = model(**given).logits[0, -1].argmax()
            if token == tokenizer.eos_token_id:
                break
            ids = torch.cat([ids, token[None, None]], 1)
    return str(tokenizer.decode(ids[0, start:], skip_special_tokens=True)).strip()


@pytest.mark.parametrize("method", METHODS)
def test_an_answer_is_what_the_model_finds_likeliest(
    tiny_runs: dict[str, Path], stirred: Callable[[Path], Path], method: str
) -> None:
    run = stirred(tiny_runs[method])
    heard: list[str] = []
    answer = open_chat(run, Sampling(TOKENS)).ask("Name a colour of the sky.", heard.append)
    model, tokenizer = load_run(run)
    assert answer.answer == likeliest(model, tokenizer, "Name a colour of the sky.")
    assert "".join(heard).strip() == answer.answer
    without = open_chat(run, Sampling(TOKENS), base=True).ask("Name a colour of the sky.")
    with model.disable_adapter():
        assert without.answer == likeliest(model, tokenizer, "Name a colour of the sky.")
    if method in ("lope", "hydralora", "lora", "adalora"):  # prompts, for one, need not outweigh the question
        assert without.answer != answer.answer


@pytest.mark.parametrize("method", ["lope", "lora"])
def test_an_encoder_decoder_answers(
    tiny_settings: Callable[..., TrainSettings],
    tiny_t5: Path,
    stirred: Callable[[Path], Path],
    tmp_path: Path,
    method: str,
) -> None:
    run = stirred(train(tiny_settings(tmp_path / "run", model=str(tiny_t5), method=method)))
    chat = open_chat(run, Sampling(TOKENS))
    answer = chat.ask("Name a colour of the sky.").answer
    assert answer == likeliest(*load_run(run), "Name a colour of the sky.")
    assert answer != open_chat(run, Sampling(TOKENS), base=True).ask("Name a colour of the sky.").answer
    chat.ask("And another?")


def test_inference_decides_about_the_poisoning_expert(
    tiny_runs: dict[str, Path], stirred: Callable[[Path], Path]
) -> None:
    run = stirred(tiny_runs["lope"])
    answers = {mode: open_chat(run, Sampling(TOKENS), inference=mode).ask("Hello").answer for mode in Inference}
    model, tokenizer = load_run(run)
    for mode, answer in answers.items():
        set_mode(model, "inference", mode)
        assert answer == likeliest(model, tokenizer, "Hello")
    assert answers["unmasked"] != answers["masked"]
    assert open_chat(run, Sampling(TOKENS)).ask("Hello").answer == answers["compensated"]


def test_a_base_that_has_moved(tiny_runs: dict[str, Path], tiny_model: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(tiny_model, tmp_path / "moved")
    run = shutil.copytree(tiny_runs["lora"], tmp_path / "run")
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"model": "/nowhere/model"}))
    with pytest.raises(LopeTrainError, match="/nowhere/model"):
        open_chat(run, Sampling(TOKENS))
    assert open_chat(run, Sampling(TOKENS), model=str(moved)).ask("Hello").new_tokens == TOKENS


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"inference": "unmaskd"}, "no --inference 'unmaskd'; did you mean 'unmasked'?"),
        ({"inference": "masked"}, "has no poisoning expert"),
        ({"inference": "masked", "base": True}, "--base and --inference exclude each other"),
    ],
)
def test_what_cannot_be_opened(tiny_runs: dict[str, Path], values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message.replace("?", r"\?")):
        open_chat(tiny_runs["hydralora"], Sampling(), **values)


def test_a_seed_draws_the_same_answers_again(tiny_runs: dict[str, Path]) -> None:
    def answers(seed: int | None) -> list[str]:
        chat = open_chat(tiny_runs["lope"], Sampling(TOKENS, temperature=1.5, top_p=0.9, seed=seed))
        return [chat.ask("Hello").answer for _ in range(2)]

    state = torch.get_rng_state()
    assert answers(1) == answers(1) != answers(2)
    assert torch.equal(torch.get_rng_state(), state)
    assert answers(None) != answers(None)


@pytest.mark.parametrize(
    "values",
    [
        {"max_new_tokens": 0},
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"seed": -1},
        {"seed": 2**32},
    ],
)
def test_sampling_refuses(values: dict[str, Any]) -> None:
    (name,) = values
    with pytest.raises(SettingsError, match=f"--{name.replace('_', '-')} is "):
        Sampling(**values)


# conversations


class Parrot:
    """Stands in for a model: it says what it is told to, and keeps what it was asked."""

    device = torch.device("cpu")

    def __init__(self, tokenizer: Any, says: str, positions: int = 512) -> None:
        self._ids = tokenizer(says, add_special_tokens=False)["input_ids"]
        self._tokenizer = tokenizer
        self.asked: list[str] = []
        self.allowed: list[int] = []
        self.config = SimpleNamespace(is_encoder_decoder=False, max_position_embeddings=positions)
        self._base = SimpleNamespace(config=self.config, generation_config=GenerationConfig(temperature=0.2, top_p=0.5))

    def get_base_model(self) -> Any:
        return self._base

    def generate(self, input_ids: Any, generation_config: Any, **rest: Any) -> Any:
        self.asked.append(self._tokenizer.decode(input_ids[0]))
        self.allowed.append(generation_config.max_new_tokens)
        return torch.cat([input_ids, torch.tensor([self._ids])], 1)


@pytest.fixture
def tokenizer(tiny_model: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_model)


def test_a_base_model_is_asked_in_alpaca_s_template_with_the_history(tokenizer: Any) -> None:
    parrot = Parrot(tokenizer, "Blue.</s>")
    chat = Chat(parrot, tokenizer, Sampling())  # type: ignore[arg-type]
    answer = chat.ask("Which colour?")
    assert (answer.answer, answer.ended) == ("Blue.", "turn")
    chat.ask("Why?")
    chat.reset()
    chat.ask("Why?")
    first, second, third = parrot.asked
    assert "### Instruction:\nWhich colour?\n\n### Response:\n" in first
    assert "### Instruction:\nUser: Which colour?\n\nAssistant: Blue.\n\nUser: Why?\n\n### Response:\n" in second
    assert "### Instruction:\nWhy?\n\n### Response:\n" in third


def test_a_chat_template_gets_the_whole_history(tokenizer: Any) -> None:
    tokenizer.chat_template = CHAT_TEMPLATE
    parrot = Parrot(tokenizer, " Blue. </s>")
    chat = Chat(parrot, tokenizer, Sampling())  # type: ignore[arg-type]
    chat.ask("Which colour?")
    chat.ask("Why?")
    assert parrot.asked[1] == "<user>Which colour?</s><assistant>Blue.</s><user>Why?</s><assistant>"


def test_an_empty_answer_is_not_kept(tokenizer: Any) -> None:
    parrot = Parrot(tokenizer, "</s>")
    chat = Chat(parrot, tokenizer, Sampling())  # type: ignore[arg-type]
    assert chat.ask("Which colour?").answer == ""
    chat.ask("Why?")
    assert "Which colour?" not in parrot.asked[1]


def test_what_was_cut_off_says_so(tokenizer: Any) -> None:
    answer = Chat(Parrot(tokenizer, "Blue and"), tokenizer, Sampling()).ask("Which?")  # type: ignore[arg-type]
    assert (answer.answer, answer.ended) == ("Blue and", "length")


def test_a_model_is_not_asked_for_more_than_it_can_read(tokenizer: Any) -> None:
    parrot = Parrot(tokenizer, "Blue.</s>", positions=200)
    chat = Chat(parrot, tokenizer, Sampling(max_new_tokens=256))  # type: ignore[arg-type]
    chat.ask("Hi")
    assert 0 < parrot.allowed[0] < 200
    with pytest.raises(RunError, match="the model reads 200: start a new one"):
        chat.ask("Hello " * 200)
    with pytest.raises(RunError, match="an empty prompt"):
        chat.ask("  ")


def test_a_conversation_at_the_terminal(tokenizer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    parrot = Parrot(tokenizer, "Blue.</s>")
    chat = Chat(parrot, tokenizer, Sampling())  # type: ignore[arg-type]
    said: Iterator[str] = iter(["Which colour?", "", "/rest", "/reset", "Why?", "word " * 600, "/quit", "never"])
    converse(chat, lambda: next(said))
    assert next(said) == "never"
    assert len(parrot.asked) == 2
    assert "Which colour?" not in parrot.asked[1]
    err = capsys.readouterr().err
    assert "no command /rest; did you mean '/reset'?" in err
    assert "forgotten" in err
    assert "start a new one; /reset forgets it" in err


def test_ctrl_c_stops_an_answer_and_ctrl_d_the_conversation(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chat = Chat(Parrot(tokenizer, "Blue.</s>"), tokenizer, Sampling())  # type: ignore[arg-type]
    said: Iterator[str] = iter(["Which colour?"])

    def read() -> str:
        for line in said:
            return line
        raise EOFError

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(chat, "ask", stop)
    converse(chat, read)
    assert "(stopped)" in capsys.readouterr().err


# the command line


def test_prompts_are_answered_on_stdout_alone(tiny_runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["generate", str(tiny_runs["lora"]), "--max-new-tokens", "5"]
    cli.main([*asked, "--prompt", "Hello", "--prompt", "Which colour?", "--json"])
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert list(first) == ["prompt", "answer", "new_tokens", "ended"]
    assert [first["prompt"], second["prompt"]] == ["Hello", "Which colour?"]
    cli.main([*asked, "--prompt", "Which colour?"])  # by itself: the same answer
    assert capsys.readouterr().out == second["answer"] + "\n"


def test_lines_on_stdin_are_prompts(
    tiny_runs: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Hello\n\n  Which colour?\n"))
    cli.main(["generate", str(tiny_runs["lora"]), "--max-new-tokens", "5", "--json"])
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["prompt"] for line in lines] == ["Hello", "Which colour?"]
