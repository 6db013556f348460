"""A web application for the people who decide about keys, and for those who look at what was decided.

It has no rights of its own: each person logs in with their PostgreSQL role, and what they do is done as that role.
"""
