"""A participant's evidence as an auditor reads it: files for programs, and a page for people."""
