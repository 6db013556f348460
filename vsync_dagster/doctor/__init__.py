"""Checks of a whole installation, for `vsync doctor`.

Each check is a function that reads and returns `Check`s; nothing here prints, and nothing stays behind. The command
renders them.
"""
