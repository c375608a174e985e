"""Every command that the docs give is run by a test, and what is not has its reason here."""

import re

from support.docs import PAGES, ROOT, blocks, inlines

RUN = {"sh", "sql", "yaml", "python"}
OTHER_BLOCKS = {("README.md", "Docker Compose", 0): "tests/compose brings the project up with podman-compose"}
OTHER_INLINES = {
    ("README.md", "make image "): "needs an engine and a registry; CI builds the Dockerfile for the cluster",
    ("README.md", "make faults "): "CI runs `make faults`; tests/faults/test_storm.py storms from seeds",
    ("README.md", "make dashboards "): "starts tests itself, as CI's `make e2e` does",
    ("README.md", "make e2e "): "starts the tests on a cluster; CI runs it",
    ("README.md", "make compose-test"): "starts the tests of compose; CI runs it",
    ("README.md", "ingestor schema apply --approve"): "tests/integration/schema/test_commands.py approves",
    ("CONTRIBUTING.md", "make test-database "): "starts tests itself; CI runs it",
    ("docs/schema.md", "ALTER EXTENSION "): "needs two versions for one PostgreSQL, and Debian has one for each",
    ("CONTRIBUTING.md", "make proto-release"): "moves the baseline of the next release",
    ("helm/analytics-ingestor/README.md", "kubectl delete crd "): "would take the Ingestors of others on the cluster",
    ("docs/queries.md", "pytest -m alone "): "is a test; `make measure` runs it",
    ("docs/schema.md", "ingestor schema plan|apply --file"): "names the commands of the README",
    ("docs/schema.md", "ingestor schema apply --approve"): "tests/integration/schema/test_commands.py approves",
}


def _asked_for() -> tuple[set[tuple[str, str, int]], set[tuple[str, str]]]:
    """Return the blocks, and the beginnings of commands in sentences, that tests ask for."""
    sources = "".join(
        path.read_text() for folder in ("integration", "e2e") for path in (ROOT / "tests" / folder).rglob("*.py")
    )
    fenced = re.findall(r'\bblock\(\s*"([^"]+)", "([^"]+)"(?:, (\d+))?', sources)
    spoken = re.findall(r"""\binline\(\s*"([^"]+)", (?:"([^"]+)"|'([^']+)')""", sources)
    return {(page, section, int(number or 0)) for page, section, number in fenced}, {
        (page, double or single) for page, double, single in spoken
    }


def test_every_block_of_commands_is_run() -> None:
    found = {
        (page, section, number)
        for page in PAGES
        for (section, number), (language, _) in blocks(page).items()
        if language in RUN
    }
    run, _ = _asked_for()
    assert found - run == set(OTHER_BLOCKS)
    assert run <= found


def test_every_command_in_a_sentence_is_run() -> None:
    _, spoken = _asked_for()
    beginnings = spoken | set(OTHER_INLINES)
    left = {
        (page, text)
        for page in PAGES
        for text in inlines(page)
        if not any(page == of and text.startswith(start) for of, start in beginnings)
    }
    assert left == set()


def test_every_block_says_what_it_is() -> None:
    assert {language for page in PAGES for language, _ in blocks(page).values()} <= RUN | {"text"}
