"""`generate`: answers of a trained run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from lope_common.errors import suggest
from lope_common.shown import SafeConsole, neutral, one_line, safe
from lope_train.cli.app import RunArgument, app, start
from lope_train.errors import RunError, SettingsError
from lope_train.tuner.inference import Inference

if TYPE_CHECKING:
    from lope_train.inference.chat import Chat

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_train generate runs/lope                        [dim]# a conversation; Ctrl-D ends it[/dim]

  python -m lope_train generate runs/lope --prompt "Name three primary colours." --inference unmasked

  python -m lope_train generate runs/lope --temperature 0.7 --top-p 0.9 --seed 1 --json < questions.txt
"""

_MODEL = "What answers"
_ANSWERS = "Answers"
_COMMANDS = ("/reset", "/quit")


@app.command(epilog=_EXAMPLES)
def generate(
    run: RunArgument,
    model: Annotated[
        str | None,
        typer.Option(help="The base, where it has moved since training.", rich_help_panel=_MODEL),
    ] = None,
    inference: Annotated[
        str | None,
        typer.Option(
            metavar="WORD",
            help=f"{', '.join(Inference)}: what is done with the poisoning expert. Default: as the run's settings say.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    base: Annotated[
        bool, typer.Option("--base", help="The base as it was, without the adapter.", rich_help_panel=_MODEL)
    ] = False,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="Answer this, each by itself, and end. Repeat for several. Lines on stdin do the same.",
            rich_help_panel=_ANSWERS,
        ),
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Tokens of an answer.", rich_help_panel=_ANSWERS)] = 256,
    temperature: Annotated[float, typer.Option(help="0: always the likeliest token.", rich_help_panel=_ANSWERS)] = 0.0,
    top_p: Annotated[
        float,
        typer.Option(help="Draw from the likeliest tokens that together have this share.", rich_help_panel=_ANSWERS),
    ] = 1.0,
    seed: Annotated[
        int | None,
        typer.Option(help="Draws the same answers again; default: others each time.", rich_help_panel=_ANSWERS),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object a line for each answer.", rich_help_panel="Output"),
    ] = False,
) -> None:
    """Chats with a run, or answers prompts, one by one.

    A model with a chat template is asked in it, a base model in Alpaca's, as in training. Only the answers go to
    stdout.
    """
    if any(not text.strip() for text in prompt or ()):
        raise RunError("an empty prompt: --prompt needs a text")
    one_by_one = bool(prompt) or not sys.stdin.isatty()
    if as_json and not one_by_one:
        raise SettingsError("--json needs --prompt, or prompts on stdin, a line each")
    start("generate")
    from lope_train.inference.chat import Sampling, open_chat

    sampling = Sampling(max_new_tokens, temperature, top_p, seed)
    with SafeConsole(stderr=True).status("loading the model"):
        chat = open_chat(run, sampling, model=model, inference=inference, base=base)
    if one_by_one:
        _answer(chat, prompt or _lines(), as_json)
    else:
        with suppress(ImportError):
            import readline  # noqa: F401  # arrow keys in `input`
        print(
            f"{safe(str(run))}{', the base alone' if base else ''}; /reset forgets the conversation, /quit ends",
            file=sys.stderr,
        )
        converse(chat, lambda: input("\n> "))


def _lines() -> Iterator[str]:
    """The prompts on stdin, blank lines left out."""
    return (line.strip() for line in sys.stdin if line.strip())


def _answer(chat: Chat, prompts: Iterator[str] | list[str], as_json: bool) -> None:
    for text in prompts:
        chat.reset()
        if as_json:
            print(json.dumps(asdict(chat.ask(text)), ensure_ascii=sys.stdout.isatty()), flush=True)
        elif sys.stdout.isatty():
            chat.ask(text, _show)
            print()
        else:
            print(chat.ask(text).answer, flush=True)


def converse(chat: Chat, read: Callable[[], str]) -> None:
    """Reads messages and shows answers until /quit or the end of input; Ctrl-C stops an answer."""
    while True:
        try:
            message = read().strip()
        except EOFError:
            print()
            return
        if message == "/quit":
            return
        if message == "/reset":
            chat.reset()
            print("forgotten", file=sys.stderr)
        elif message.startswith("/") and message[1:].isalpha():
            print(f"no command {one_line(message)}{suggest(message, _COMMANDS)}", file=sys.stderr)
        elif message:
            try:
                if not chat.ask(message, _show).answer:
                    print("(no answer)", end="", file=sys.stderr)
            except KeyboardInterrupt:
                print("\n(stopped)", end="", file=sys.stderr)
            except RunError as error:
                print(f"error: {one_line(str(error))}; /reset forgets it", end="", file=sys.stderr)
            print()


def _show(text: str) -> None:
    """Writes a piece of an answer, without what could steer the terminal."""
    print(neutral(text), end="", flush=True)
