"""Names and labels in many scripts, and characters that quoting, encodings and formats trip over."""

TEXTS = (
    "plain",
    "東京",
    "😀👩‍🚀",
    "e\u0301 \u1e69\u0307",  # combining marks, not in normal form
    "مرحبا \u202eשלום",
    "\U00020000\U0010fffd",  # four bytes in UTF-8
    'it\'s "quoted" `so`',
    "back\\slash \\n \\u0041 \\x",
    "100 % %s %% $1 {0}",
    "two\nlines\r\n\tand a tab",
    "\u00a0\u2003\ufeff\u200b",  # spaces that are not seen
    "İıſßẞǅ",  # whose case depends on the language
    "\x01\x7f\x85",
    "",
)
METRICS = (
    "plain",
    "Größe",
    "名前.東京",
    "эталон",
    "مقياس",
    "emoji.🚀",
    "combining.e\u0301",
    "quote'\"",
    "back\\slash",
    "100%",
    "with space",
    "two\nlines",
)


def text_of(number: int) -> str:
    """Return a text; numbers next to each other give different ones."""
    return TEXTS[number % len(TEXTS)]


def metric_of(number: int) -> str:
    """Return a metric's name."""
    return f"{METRICS[number % len(METRICS)]}.{number % len(METRICS)}"
