"""Compares what a command prints with what a page shows.

Prices, times and counts differ from run to run, so they are masked. Messages of programs may be reworded, so lines of text
need to be similar only. `...` in a page stands for any number of lines or JSON documents.
"""

import difflib
import json
import re

SKIPPED = "..."
# Absent from the JSON of a tick when they are zero, which they sometimes are.
OPTIONAL = {"conflated", "changePercent"}
MASKS = [
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:]+(\.\d+)?Z"), "<time>"),
    (re.compile(r"\b(?=[a-f]*\d)[0-9a-f]{12,}\b"), "<hex>"),
    (re.compile(r"[+-]?\b(\d{1,3}(,\d{3})+\b|\d+)(\.\d+)?( ?[mun]?s\b)?"), "<number>"),
    (re.compile(r"[ \t]+"), " "),
]


def masked(text):
    """The text without the values that differ from run to run."""
    for pattern, mask in MASKS:
        text = pattern.sub(mask, text)
    return text.strip()


def parse(text):
    """JSON documents if the text has any, else lines. What is not complete yet is left out."""
    if not text.lstrip().startswith(("{", SKIPPED)):
        return text.splitlines()
    items, decoder = [], json.JSONDecoder()
    while text := text.lstrip():
        if text.startswith(SKIPPED):
            items, text = [*items, SKIPPED], text.removeprefix(SKIPPED)
            continue
        try:
            item, end = decoder.raw_decode(text)
        except json.JSONDecodeError:
            break
        items, text = [*items, item], text[end:]
    return items


def similar(shown, printed):
    """Whether a line or JSON value that was printed is of the shape of the one that the page shows."""
    if isinstance(shown, dict):
        if not isinstance(printed, dict) or (shown.keys() ^ printed.keys()) - OPTIONAL:
            return False
        return all(key == "message" or similar(shown[key], printed[key]) for key in shown.keys() & printed.keys())
    if isinstance(shown, list):
        return (
            isinstance(printed, list) and len(shown) == len(printed) and all(map(similar, shown, printed))
        )
    if isinstance(shown, str) and isinstance(printed, str):
        shown, printed = masked(shown), masked(printed)
        return shown == printed or (" " in shown and difflib.SequenceMatcher(None, shown, printed).ratio() > 0.6)
    if isinstance(shown, bool) or isinstance(printed, bool):
        return shown is printed
    return isinstance(shown, (int, float)) and isinstance(printed, (int, float))


def fits(shown, printed, ended):
    """Whether `printed` begins with the items of `shown`, or when it has ended consists of them."""
    if not shown:
        return not (ended and printed)
    first, *rest = shown
    if first == SKIPPED:
        return any(fits(rest, printed[start:], ended) for start in range(len(printed) + 1))
    return bool(printed) and similar(first, printed[0]) and fits(rest, printed[1:], ended)
