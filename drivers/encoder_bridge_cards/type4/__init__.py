"""NFC Forum Type 4 Tags: a card of ISO/IEC 14443-4 with one file that holds an NDEF message."""
