"""How the connection to the broker is encrypted."""

from __future__ import annotations

import ssl

from encoder_bridge.config.tables import MqttSettings
from encoder_bridge.errors import ConfigError


def tls_context(mqtt: MqttSettings) -> ssl.SSLContext:
    """Read the certificates: those to check the broker's against and, where one is given, ours.

    Raises:
        ConfigError: one sentence, on a line of its own, for each that cannot be used.
    """
    findings = []
    try:
        context = ssl.create_default_context(cafile=mqtt.ca_file)
    except OSError as error:
        why = "no certificate in it" if isinstance(error, ssl.SSLError) else error.strerror
        findings.append(f"mqtt.ca_file: {mqtt.ca_file} cannot be used ({why}): give PEM.")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if mqtt.cert_file:
            # Without a password OpenSSL would ask the terminal for that of a locked key.
            context.load_cert_chain(mqtt.cert_file, mqtt.key_file, password="")
    except OSError as error:
        why = "not a certificate and its key" if isinstance(error, ssl.SSLError) else error.strerror
        files = f"{mqtt.cert_file} with {mqtt.key_file}"
        findings.append(f"mqtt.cert_file: {files} cannot be used ({why}): give PEM, unlocked.")
    if findings:
        raise ConfigError("\n".join(findings))
    return context
