"""A simulator of the providers, in a process of its own: what it takes is the truth the system is held to."""
