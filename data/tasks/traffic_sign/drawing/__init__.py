"""Our own drawings of signs, and what is made of them."""
