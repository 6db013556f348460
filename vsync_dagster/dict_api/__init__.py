"""The DICT protocol over HTTP. Knows no database."""
