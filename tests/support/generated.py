"""The parts of hand-written pages that ``make docs`` writes, each between two comments."""


def with_part(page: str, name: str, part: str) -> str:
    """Return the page with ``part`` in the place of what stands between the comments of that name."""
    start, end = f"<!-- {name}: written by `make docs`, proven fresh by a test -->\n", f"<!-- /{name} -->"
    before, rest = page.split(start)
    return before + start + part + end + rest.split(end, 1)[1]
