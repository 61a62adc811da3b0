"""Store and stations together, in a time of their own, against a reference and with crashes."""
