"""MIFARE DESFire: its commands, and the secure messaging of EV1 and of EV2."""
