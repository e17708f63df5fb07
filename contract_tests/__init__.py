"""Every test of the product; each pins a promise to one of its users."""
