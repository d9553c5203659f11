"""Counting the words of a text."""

from collections import Counter


def count_words(text: str) -> Counter[str]:
    """How often each word of a text occurs, in lower case."""
    return Counter(text.lower().split())


def longest_word(text: str) -> str:
    """The longest word of a text, the first where there are several."""
    return max(text.split(), key=len)
