"""How well a network names what it is shown, with intervals."""
