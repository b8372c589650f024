"""The model of growth: it shows the table of docs/growth.md, and its loads add up."""

from __future__ import annotations

from pathlib import Path

from tests.bench.growth import load_of, table

PAGE = Path(__file__).parents[2] / "docs" / "growth.md"


def test_the_page_has_the_table() -> None:
    assert "\n".join(table()) in PAGE.read_text("utf-8")


def test_more_nodes_share_connections_and_deliveries_and_nothing_of_the_deciding() -> None:
    three, five = load_of(1_000_000, 3), load_of(1_000_000, 5)
    assert five.connections < three.connections
    assert five.deliveries < three.deliveries
    assert five.hub_share == three.hub_share
