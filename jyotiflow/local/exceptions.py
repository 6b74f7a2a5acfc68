"""Why a local run cannot go on. The text of each is for the person at the terminal."""


class CannotRun(RuntimeError):
    """The local run cannot start or go on; the text says why and what to do."""


class ServerMissing(CannotRun):
    """No usable program for a server was found; the text says in one line what to install or set."""


class ServerFailed(CannotRun):
    """A server program was found but does not run; the text carries the end of its log."""
