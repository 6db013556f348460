"""One sync, step by step, without Dagster: what the assets call. Knows DICT, the database and the core."""
