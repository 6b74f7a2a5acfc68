"""What readers reply by SMS and WhatsApp, as Twilio passes it on."""

from typing import Final

from django.http import HttpRequest, HttpResponse
from twilio.twiml.messaging_response import MessagingResponse

from followups.choices import ReplyKind
from followups.keywords import TWILIO_WORDS, Reply, answer, understand
from followups.links import preferences_url
from followups.receipts.answers import forbidden, is_too_large
from followups.receipts.twilio import is_signed
from followups.services.inbound import hear
from jyotiflow.body import text_fault
from jyotiflow.errors import only

WHATSAPP: Final = "whatsapp:"
LONGEST_ID: Final = 64
# Given where the messaging service handles opt-outs itself:
# https://www.twilio.com/docs/messaging/tutorials/advanced-opt-out
KIND_BY_OPT_OUT_TYPE: Final = {
    "STOP": ReplyKind.STOP,
    "START": ReplyKind.START,
    "HELP": ReplyKind.HELP,
}


@only("POST")
def twilio_inbound(request: HttpRequest) -> HttpResponse:
    """Take one inbound message, proved as a status callback is; answer what Twilio doesn't answer itself."""
    if is_too_large(request) or not is_signed(request):
        return forbidden()
    form = request.POST
    message_id, sender = form.get("MessageSid", ""), form.get("From", "")
    channel = "whatsapp" if sender.startswith(WHATSAPP) else "sms"
    phone = sender.removeprefix(WHATSAPP)
    if not message_id or len(message_id) > LONGEST_ID or text_fault(message_id) or not phone.startswith("+"):
        return _twiml()  # nothing of a reader's: another of Twilio's channels, a short code
    opt_out_type = form.get("OptOutType", "").upper()
    reply = (
        Reply(KIND_BY_OPT_OUT_TYPE[opt_out_type], opt_out_type)
        if opt_out_type in KIND_BY_OPT_OUT_TYPE
        else understand(form.get("Body", ""))
    )
    heard = hear(message_id=message_id, channel=channel, phone=phone, reply=reply)
    twilio_answers = bool(opt_out_type) or (channel == "sms" and reply.word in TWILIO_WORDS)
    if twilio_answers or not heard.is_new or heard.language is None:
        return _twiml()
    return _twiml(answer(reply.kind, heard.language, preferences_url=preferences_url()))


def _twiml(text: str = "") -> HttpResponse:
    response = MessagingResponse()
    if text:
        response.message(text)
    return HttpResponse(str(response), content_type="text/xml; charset=utf-8")
