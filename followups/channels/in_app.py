"""In-app messages: our own database is the provider, so a message is delivered exactly once."""

from django.db import DatabaseError, DataError, IntegrityError, transaction

from followups.channels.base import Accepted, Channel, Message
from followups.exceptions import OutcomeUnknown, Rejected
from followups.models import InAppMessage
from jyotiflow.accounts.models import User


class InAppChannel(Channel):
    """Puts the message into the user's inbox. One row a follow-up: a repeat changes nothing."""

    provider = "in_app"
    repeat_is_harmless = True
    is_local = True
    needs_follow_up = True

    def addresses(self, user: User) -> tuple[str, ...]:
        """The user themselves."""
        return (str(user.pk),)

    def send(self, message: Message) -> Accepted:
        """Write the row; it's delivered by that."""
        row = InAppMessage(
            follow_up_id=message.follow_up_id,
            user_id=message.user_id,
            subject=message.subject,
            body=message.text,
            language=message.language,
        )
        try:
            with transaction.atomic():
                # Locked, so that an erasure comes wholly before this row or wholly after it.
                reader = User.objects.select_for_update(no_key=True).filter(pk=row.user_id, is_active=True)
                if reader.first() is None:
                    raise Rejected("user_inactive", "The account is closed.")
                InAppMessage.objects.bulk_create([row], ignore_conflicts=True)
        except IntegrityError:
            raise Rejected("no_such_follow_up", "The message belongs to nobody.") from None
        except DataError:
            raise Rejected("unsendable", "The message holds what can't be stored.") from None
        except DatabaseError as error:
            raise OutcomeUnknown(type(error).__name__) from None
        return Accepted(delivered=True)
