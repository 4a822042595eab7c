"""A differential fuzzer: random programs, spectra, networks and algorithms; every method of the engine against the others, and
against samples. ``python -m tests.fuzz --minutes 10``; a disagreement is shrunk and printed as code that runs."""
