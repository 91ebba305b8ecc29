"""Text-guided recognition of expressions, with a network that turns an emotional face into a neutral one."""
