"""What tests, tools and the benchmark share."""
