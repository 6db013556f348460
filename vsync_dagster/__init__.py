"""VSYNC: verifies a Pix participant's key base against DICT, repairs it, and proves the result."""
