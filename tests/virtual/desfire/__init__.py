from virtual.desfire.card import Desfire

__all__ = ["Desfire"]
