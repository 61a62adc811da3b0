"""A simulated encoder with a stock of cards that persist."""
