"""The `vsync` command. Commands import what they need when they run: `vsync --help` does not wait for Dagster."""

from vsync_dagster.cli.app import main

__all__ = ["main"]
