"""The one family of errors that services raise and the HTTP layer renders."""

from collections.abc import Mapping


class DomainError(Exception):
    """A request the domain refuses.

    ``message`` is one sentence for a person, ``code`` a stable word for programs, ``status`` the HTTP
    status it becomes, ``errors`` the fields at fault with the fix for each. A subclass's docstring is
    its default message.
    """

    status = 400
    code = "invalid"

    def __init__(
        self,
        message: str = "",
        *,
        code: str = "",
        errors: Mapping[str, list[str]] | None = None,
    ) -> None:
        self.message = message or " ".join((type(self).__doc__ or "").split())
        self.code = code or self.code
        self.errors = dict(errors or {})
        super().__init__(self.message)


class InvalidInput(DomainError):
    """The request is not valid."""

    @classmethod
    def field(cls, name: str, message: str, *, code: str = "invalid") -> "InvalidInput":
        """One bad field: the message serves both as the sentence and as the field's error."""
        return cls(message, code=code, errors={name: [message]})


class NotSignedIn(DomainError):
    """Sign in to do this."""

    status = 401
    code = "not_authenticated"


class NotFound(DomainError):
    """Not found."""

    status = 404
    code = "not_found"


class NotAllowed(DomainError):
    """You are not allowed to do this."""

    status = 403
    code = "not_allowed"


class Conflict(DomainError):
    """This conflicts with the current state."""

    status = 409
    code = "conflict"
