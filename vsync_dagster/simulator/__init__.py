"""A stateful DICT over HTTP to develop and test against. Nothing in production imports it."""
