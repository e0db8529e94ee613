"""Text from outside, made fit to be stored, shown and logged."""


def bounded(text: str, length: int) -> str:
    """*text* with at most *length* characters, all of them printable; what had to go leaves a mark.

    Control characters, among them the NUL that no PostgreSQL column takes, and lone surrogates, which no encoding
    has, become U+FFFD; a text that is cut ends with an ellipsis.

    >>> bounded("CT\\0", 16)
    'CT\\ufffd'
    >>> bounded("abcdef", 4)
    'abc…'
    """
    printable = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return printable if len(printable) <= length else printable[: length - 1] + "…"
