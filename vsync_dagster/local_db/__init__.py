"""The participant's PostgreSQL: entries, CID history, review queue, reports, outbox. Knows no HTTP."""
