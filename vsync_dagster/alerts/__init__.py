"""Telling people of alerts: the targets, and the relay from the queue to each of them."""
