"""``chatd config``: looking at the settings."""

from __future__ import annotations

import json
import os

import click

from chatd.config.home import Home
from chatd.config.loading import load_settings
from chatd.config.schema import settings_schema


@click.group()
def config() -> None:
    """The settings in config/settings.json."""


@config.command("show")
@click.pass_obj
def show(home: Home) -> None:
    """Print the settings as they would be in force: file, defaults, environment."""
    settings = load_settings(home.path, os.environ)
    click.echo(json.dumps(settings.model_dump(mode="json"), indent=2, ensure_ascii=False))


@config.command("check")
@click.pass_obj
def check(home: Home) -> None:
    """Say whether the settings are valid; every mistake at once if not."""
    load_settings(home.path, os.environ)
    click.echo(f"ok    {home.settings_file}")


@config.command("schema")
def schema() -> None:
    """Print the JSON Schema that editors use to complete and check settings.json."""
    click.echo(json.dumps(settings_schema(), indent=2))


COMMANDS: list[click.Command] = [config]
