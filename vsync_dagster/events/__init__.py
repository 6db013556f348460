"""What is published, and the relay from the outbox to Pulsar."""
