"""The five assets, one module each."""
