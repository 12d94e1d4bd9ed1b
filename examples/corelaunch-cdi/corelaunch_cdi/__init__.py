"""Devices of the Container Device Interface (CDI) for containers whose annotations ask for them."""
