"""Options that cannot work are refused before anything is sent, in words that say what to change."""

import math
from typing import Any

import pytest

from ingestor.client.encode import Form
from ingestor.errors import ConfigurationError
from ingestor.load.options import LoadOptions


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"target": "::1"}, "--target: write an IPv6 address in brackets"),
        ({"target": "::1:50051"}, "--target: write an IPv6 address in brackets"),
        ({"target": ""}, "--target: target must be host:port"),
        ({"target": "http://localhost:50051"}, "--target: .*without http://"),
        ({"target": "localhost:99999"}, "--target: a port is from 1 to 65535"),
        ({"points": 0}, "--machine"),
        ({"points": -1}, "--points"),
        ({"series": 0}, "--series"),
        ({"seed": -1}, "--seed"),
        ({"rate": -1.0}, "--rate"),
        ({"rate": math.nan}, "--rate must be a finite number"),
        ({"duration_s": math.inf}, "--duration must be a finite number"),
        ({"interval_s": math.nan}, "--interval must be a finite number"),
        ({"give_up_after_s": math.inf}, "--give-up-after must be a finite number"),
        ({"in_flight": -1}, "--in-flight"),
        ({"duration_s": -1.0}, "--duration"),
        ({"interval_s": 0.0}, "--interval"),
        ({"give_up_after_s": 0.0}, "--give-up-after"),
        ({"form": Form.SINGLE, "points_per_request": 2}, "--batch"),
        ({"points": 1_000_000, "series": 1}, "--series 4 or more, or --points 259200 or fewer"),
    ],
)
def test_wrong_options_are_refused_by_name(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        LoadOptions(**wrong)


@pytest.mark.parametrize("target", ["[::1]:50051", "localhost:50051", "127.0.0.1:50051", "dns:///a:1", "unix:/run/a"])
def test_any_other_name_of_grpc_s_is_a_target(target: str) -> None:
    assert LoadOptions(target=target).target == target


def test_the_advised_number_of_series_is_taken() -> None:
    assert LoadOptions(points=1_000_000, series=4).steps == 250_000


def test_ten_thousand_series_take_points_for_days() -> None:
    most = 30 * 86_400 // 10 * 10_000
    assert LoadOptions(points=most).points == 2_592_000_000
    with pytest.raises(ConfigurationError, match=f"--points {most} or fewer"):
        LoadOptions(points=most + 1)


def test_a_run_names_its_synthetic_service_only() -> None:
    options = LoadOptions(machine=True, service_name="here", run="1f")
    assert (options.synthetic_service, options.machine_service) == ("here-1f", "here")
    assert LoadOptions(run="1f").synthetic_service == "synthetic-1f"
    assert LoadOptions().synthetic_service == "synthetic"


@pytest.mark.parametrize(
    ("form", "slots", "batch_points"), [(Form.COLUMNS, 8, 10_000), (Form.ROWS, 64, 1_000), (Form.SINGLE, 64, 1)]
)
def test_the_form_decides_what_is_not_given(form: Form, slots: int, batch_points: int) -> None:
    options = LoadOptions(form=form)
    assert (options.slots, options.batch_points) == (slots, batch_points)
