"""MIFARE Ultralight C: pages under a 3DES key."""
