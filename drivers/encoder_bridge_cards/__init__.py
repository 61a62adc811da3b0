"""What is known of contactless cards: technologies, formats and keys, over one narrow port; no I/O of its own."""
