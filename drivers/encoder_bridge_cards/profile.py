"""Card profiles: what goes onto a card, and where on which technology, as the configuration says it.

::

    [profiles.guest]
    format = "wiegand"  # what: see `FORMATS`; its own keys stand beside it
    layout = "h10301"
    facility_code = 123

    [profiles.guest.desfire]  # where: one table for each technology that may be laid down, see `TECHNOLOGIES`
    application = "f51234"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from encoder_bridge.driver import Credential, CredentialRejected, Secret, SettingsRejected
from encoder_bridge_cards.classic.layout import ClassicLayout
from encoder_bridge_cards.desfire.layout import DesfireLayout
from encoder_bridge_cards.formats.ndef import NdefFormat
from encoder_bridge_cards.formats.open_layout import OpenFormat
from encoder_bridge_cards.formats.port import Format
from encoder_bridge_cards.formats.raw import RawFormat
from encoder_bridge_cards.formats.wiegand import WiegandFormat
from encoder_bridge_cards.number import NumberFormat, NumberLayout
from encoder_bridge_cards.personalisation import Contents, Layout
from encoder_bridge_cards.tables import Table, whole
from encoder_bridge_cards.type2.layout import NtagLayout
from encoder_bridge_cards.type4.layout import Type4Layout
from encoder_bridge_cards.ultralight_c.layout import UltralightCLayout

FORMATS: Mapping[str, Callable[[Table, Secret], Format]] = {
    "number": NumberFormat.parse,
    "ndef": NdefFormat.parse,
    "wiegand": WiegandFormat.parse,
    "open": OpenFormat.parse,
    "raw": RawFormat.parse,
}

TECHNOLOGIES: Mapping[str, Callable[[Table, Secret, bool], Layout]] = {
    "desfire": DesfireLayout.parse,
    "type4": Type4Layout.parse,
    "classic": ClassicLayout.parse,
    "ntag": NtagLayout.parse,
    "ultralight_c": UltralightCLayout.parse,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One card profile."""

    name: str
    format: Format
    layouts: tuple[Layout, ...]

    @classmethod
    def parse(cls, name: str, values: object, secret: Secret) -> Profile:
        """Read the table of one profile.

        Raises:
            SettingsRejected: it is wrong somewhere; the sentence begins with the place.
        """
        with whole(values, f"profiles.{name}") as table:
            kind = table.one_of("format", tuple(FORMATS))
            made = FORMATS[kind](table, secret)
            layouts: list[Layout] = [
                parse(own, secret, made.ndef)
                for technology, parse in TECHNOLOGIES.items()
                if (own := table.optional_table(technology)) is not None
            ]
            if isinstance(made, NumberFormat):
                if layouts:
                    table.refuse("format", "writes nothing: remove the tables that say where")
                layouts = [NumberLayout()]
            elif not layouts:
                table.refuse("format", f"has nowhere to go: add a table {', '.join(TECHNOLOGIES)}")
        return cls(name=name, format=made, layouts=tuple(layouts))

    def check(self, credential: Credential) -> None:
        """Judge a credential before anyone is asked for a card.

        Raises:
            CredentialRejected: it fits on none of the profile's technologies.
        """
        for layout in self.layouts:
            try:
                self.contents(layout, credential, None)
            except CredentialRejected as error:
                refusal = error
            else:
                return
        raise refusal

    def contents(self, layout: Layout, credential: Credential, uid: bytes | None) -> Contents:
        """What a card has to carry, place by place; a draft of it where there is no card yet.

        Raises:
            CredentialRejected: it cannot.
        """
        image = self.format.image(credential, uid, layout.unit)
        if isinstance(image, bytes):
            return layout.places(image, ndef=self.format.ndef)
        return layout.raw(image)


def parse_profiles(values: object, secret: Secret) -> Mapping[str, Profile]:
    """Read all profiles.

    Raises:
        SettingsRejected: there is none, or one is wrong.
    """
    if not isinstance(values, Mapping) or not values:
        raise SettingsRejected("There is no card profile: add a table [profiles.NAME] with a format.")
    return {str(name): Profile.parse(str(name), table, secret) for name, table in values.items()}
