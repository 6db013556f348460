"""A key table of another shape, synced in place: `entries` is then a view of it.

`mapping` reads what a participant writes down about its table, `catalog` looks at the table itself. `columns` and
`view` say how it is read and written as ours, `triggers` and `script` compose the rest of the SQL; `attach` runs it,
and `check` finds what has come loose since.
"""
