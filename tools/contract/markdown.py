"""Markdown as the rules see it: fences, directives, headings, words."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"\s{0,3}(`{3,}|~{3,}|:{3,})\s*(.*?)\s*$")
_DIRECTIVE = re.compile(r"\{([\w:-]+)\}\s*(.*)")
_OPTION = re.compile(r":([\w-]+):\s*(.*)")
_CHINESE = "\u3400-\u4dbf\u4e00-\u9fff"


@dataclass(frozen=True)
class Directive:
    """A MyST directive, such as `{exercise}`.

    Args:
        name: "exercise".
        argument: what stands behind the name.
        options: the `:key: value` lines.
        body: what follows them.
    """

    name: str
    argument: str
    options: dict[str, str]
    body: str


def directives(text: str) -> Iterator[Directive]:
    """Every directive, those inside of others as well.

    Args:
        text: Markdown.

    Yields:
        An outer directive before the ones in it.
    """
    for info, lines in _blocks(text):
        match = _DIRECTIVE.match(info or "")
        if not match:
            continue
        options = {}
        while lines and (option := _OPTION.match(lines[0].strip())):
            options[option[1]] = option[2].strip()
            lines = lines[1:]
        body = "\n".join(lines).strip()
        yield Directive(match[1], match[2].strip(), options, body)
        yield from directives(body)


def outside_fences(text: str) -> str:
    """What is no code block and no directive.

    Args:
        text: Markdown.

    Returns:
        The lines outside of any fence.
    """
    return "\n".join(
        line for info, lines in _blocks(text) if info is None for line in lines
    )


def headings(text: str) -> list[tuple[int, str]]:
    """The headings, in order.

    Args:
        text: Markdown.

    Returns:
        Each as (level, text).
    """
    lines = outside_fences(text).splitlines()
    matches = (re.match(r"(#{1,6})\s+(.*?)(\s+#+)?\s*$", line) for line in lines)
    return [(len(match[1]), match[2]) for match in matches if match]


def split_at_headings(text: str) -> list[tuple[str | None, str]]:
    """The text cut before each heading of level 2.

    Args:
        text: Markdown.

    Returns:
        Each piece as (the heading it begins with or None, the piece).
    """
    pieces: list[tuple[str | None, list[str]]] = [(None, [])]
    for info, lines in _blocks(text):
        if info is not None:
            # Only its content matters to the rules, so any fence will do.
            pieces[-1][1].extend([f"``````{info}", *lines, "``````"])
            continue
        for line in lines:
            if line.startswith("## "):
                pieces.append((line[3:].strip(), []))
            pieces[-1][1].append(line)
    return [(heading, "\n".join(lines)) for heading, lines in pieces if lines]


def table_rows(text: str) -> list[list[str]]:
    """The rows of the tables, the line under a head left out.

    Args:
        text: Markdown.

    Returns:
        The cells of each row; a bar after a backslash is part of its cell.
    """
    return [
        [part.strip() for part in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        for line in text.splitlines()
        if line.strip().startswith("|") and not re.fullmatch(r"[|\s:-]+", line)
    ]


def prose_words(text: str) -> int:
    """The number of words that are read as prose.

    Those of directives with text in them count; code, formulas, addresses, comments,
    citations and Chinese do not.

    Args:
        text: Markdown.

    Returns:
        The number.
    """
    prose = "\n".join(_prose(text))
    for pattern in (
        r"(?s)<!--.*?-->",
        r"(?s)\$\$.*?\$\$",
        r"\$[^$\n]+\$",
        r"\{[\w:-]+\}`[^`]*`",
        r"`[^`\n]*`",
        r"\]\([^)\s]*\)",
        r"https?://\S+",
        rf"[{_CHINESE}]",
    ):
        prose = re.sub(pattern, " ", prose)
    return len(re.findall(r"[^\W_]+(?:['’.-][^\W_]+)*", prose))


def has_chinese(text: str) -> bool:
    """Whether there is a Chinese character.

    Args:
        text: any.

    Returns:
        True for "掩膜".
    """
    return re.search(f"[{_CHINESE}]", text) is not None


def _prose(text: str) -> Iterator[str]:
    for info, lines in _blocks(text):
        if info is None:
            yield from (line for line in lines if not _OPTION.match(line.strip()))
        elif re.match(r"\{(?!literalinclude|code|bibliography|math)", info):
            yield from _prose("\n".join(lines))


def _blocks(text: str) -> Iterator[tuple[str | None, list[str]]]:
    """Runs of lines: (None, lines) outside of fences, (info, lines) for a fence."""
    info, close, lines = None, "", []
    for line in text.splitlines():
        fence = _FENCE.match(line)
        if info is None and fence:
            if lines:
                yield None, lines
            info, close, lines = fence[2], fence[1], []
        elif info is not None and fence and not fence[2] and fence[1].startswith(close):
            yield info, lines
            info, lines = None, []
        else:
            lines.append(line)
    if lines or info is not None:
        yield info, lines
