"""Read a server's metrics as Prometheus does."""

import asyncio

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from support.eventually import HANG_S, POLL_S

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scrape(http_port: int, host: str = "127.0.0.1") -> Samples:
    """Return every sample of one scrape by name and labels."""
    async with aiohttp.ClientSession() as session, session.get(f"http://{host}:{http_port}/metrics") as reply:
        text = await reply.text()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value_of(samples: Samples, name: str, **labels: str) -> float:
    """Return one sample, 0 where it is not there."""
    return samples.get((name, frozenset(labels.items())), 0.0)


def by_label(samples: Samples, name: str, label: str) -> dict[str, float]:
    """Return the samples of a metric with one label that are not 0, by the label's value."""
    return {dict(labels)[label]: value for (one, labels), value in samples.items() if one == name and value}


def check_balance(samples: Samples) -> None:
    """Assert that every point received is accounted for."""
    outcomes = by_label(samples, "ingestor_points_total", "outcome")
    received = value_of(samples, "ingestor_points_received_total")
    assert received == sum(outcomes.values()) + value_of(samples, "ingestor_points_held"), outcomes


async def points_held(http_port: int) -> float:
    """Return how many points have no outcome yet."""
    return value_of(await scrape(http_port), "ingestor_points_held")


async def until_nothing_is_held(http_port: int) -> None:
    """Wait until every point has an outcome."""
    async with asyncio.timeout(HANG_S):
        while await points_held(http_port):
            await asyncio.sleep(POLL_S)
