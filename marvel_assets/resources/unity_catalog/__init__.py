"""The model catalog: one client, several backends."""
