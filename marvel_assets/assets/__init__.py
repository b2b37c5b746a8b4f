"""The assets. Each reads references, calls the domain, and returns what it made with the facts about it."""
