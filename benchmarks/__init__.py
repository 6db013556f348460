"""`make bench`: how long our ways take beside others' on the same data, in the same run."""
