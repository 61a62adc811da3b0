"""MIFARE Classic 1K, 4K and Mini: sectors, two keys each, access bits, and the application directory MAD."""
