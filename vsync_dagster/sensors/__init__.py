"""Sensors, a module each: what happens when something else has, rather than at a time of day."""
