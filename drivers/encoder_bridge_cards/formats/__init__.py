"""What goes onto a card: formats whose specification is public."""
