"""Runs one of `fuzz_targets` under atheris: `python -m vsync_dagster_tests.dict_api.fuzz NAME [libFuzzer options]`."""

import sys

import atheris

with atheris.instrument_imports(include=["vsync_dagster"]):
    from vsync_dagster_tests.dict_api.fuzz_targets import TARGETS


def main() -> None:
    """Look for bytes that reach new code, and break it."""
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
