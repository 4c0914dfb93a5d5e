"""Real servers that tests start: one file a product."""
