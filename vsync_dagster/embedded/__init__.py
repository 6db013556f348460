"""A real PostgreSQL and a real Pulsar-protocol broker out of wheels, for `vsync demo`, `dev` and tests."""
