"""Who may call what on the staff's side."""

from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView


class StaffPermission(BasePermission):
    """Active staff who hold the permission the viewset names for the action in ``permissions``."""

    message = "This needs a staff account with the right permission."

    def has_permission(self, request: Request, view: APIView) -> bool:
        needed = getattr(view, "permissions", {}).get(getattr(view, "action", None))
        if needed is None:  # a method the view doesn't have: let it answer 405
            return True
        return bool(request.user.is_authenticated and request.user.is_staff and request.user.has_perm(needed))
