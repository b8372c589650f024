"""``chatd config``: show and check the settings."""

from __future__ import annotations

import os

import click

from chatd.config.home import Home
from chatd.config.loading import load_settings
from chatd.config.schema import settings_schema
from chatd.console import output
from chatd.console.command_table import SummaryGroup
from chatd.pki.home_name import refuse_other_name


@click.group(cls=SummaryGroup)
def config() -> None:
    """Show and check the settings in config/settings.json."""


@config.command("show")
@click.pass_obj
def show(home: Home) -> None:
    """Print the effective settings: defaults, file and environment."""
    settings = load_settings(home.path, os.environ)
    output.json_data(settings.model_dump(mode="json"))


@config.command("check")
@click.pass_obj
def check(home: Home) -> None:
    """Check the settings and list every mistake."""
    settings = load_settings(home.path, os.environ)
    refuse_other_name(home.path, settings.server.name)
    output.line(f"ok    {home.settings_file}")


@config.command("schema")
def schema() -> None:
    """Print the JSON Schema with which editors complete and check settings.json."""
    output.json_data(settings_schema())
