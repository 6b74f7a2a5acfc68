"""What providers are answered: quickly, and without telling what exists."""

from django.http import HttpRequest, JsonResponse

LARGEST_BODY = 64 * 1024  # bytes; a callback is a few hundred
LARGEST_BATCH = 1024 * 1024  # bytes; mail services report up to a thousand events in one call


def acknowledged() -> JsonResponse:
    """Taken, known before, or about nothing of ours: the provider needn't send it again."""
    return JsonResponse({"success": True, "message": "Received."})


def forbidden() -> JsonResponse:
    """Not from the provider, as far as one can prove."""
    return JsonResponse(
        {"success": False, "message": "The signature does not match.", "code": "bad_signature"}, status=403
    )


def is_too_large(request: HttpRequest, largest: int = LARGEST_BODY) -> bool:
    """Whether the body is larger than a call can be, or of unknown length."""
    length = request.headers.get("Content-Length", "")
    return not (length.isascii() and length.isdecimal() and len(length) < 10 and int(length) <= largest)
