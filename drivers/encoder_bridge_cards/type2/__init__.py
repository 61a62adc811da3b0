"""NTAG213/215/216 and MIFARE Ultralight EV1: pages, a password, AUTH0; and what they share with Ultralight C."""
