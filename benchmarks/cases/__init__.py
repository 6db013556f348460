"""One file a case: `OURS` and `AGAINST` name its functions, and `CASE` and `REACH` say what they show."""
