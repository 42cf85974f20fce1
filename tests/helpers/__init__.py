"""The modules that tests, tools and the benchmark share."""
