"""One module a claim: `python -m benchmarks.NAME [--json]` measures it, its peers in the same run."""
