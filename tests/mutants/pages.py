"""Bugs in what readers are shown, and in what they agree to."""

from tests.mutants.mutation import Mutation

WEB = "tests/followups/web"

PAGES = (
    Mutation(
        "anybody opens another's inbox",
        "followups/selectors/center.py",
        "InAppMessage.objects.filter(user=user).select_related",
        "InAppMessage.objects.all().select_related",
        (f"{WEB}/test_inbox.py",),
    ),
    Mutation(
        "looking ahead marks a message read",
        "followups/web/inbox.py",
        'if request.method == "GET":',
        "if request.method:",
        (f"{WEB}/test_inbox.py",),
    ),
    Mutation(
        "a price nobody has seen is charged",
        "followups/services/scheduling.py",
        "if agreed_price is not None and prepared.credits_charged > agreed_price:",
        "if False:",
        (f"{WEB}/test_booking.py::test_a_price_that_rose_is_asked_about_again",),
    ),
    Mutation(
        "a double click orders twice",
        "followups/web/booking.py",
        'key=str(form.cleaned_data["key"]),',
        "key=str(uuid.uuid4()),",
        (f"{WEB}/test_booking.py::test_what_was_quoted_is_ordered_once",),
    ),
    Mutation(
        "a link from a mail starts channels again",
        "followups/web/forms.py",
        'given["channels"] = dict.fromkeys(given.pop("stop"), False)',
        'given["channels"] = {name: name not in given["stop"] for name in self.wishes.channels}',
        (f"{WEB}/test_preferences.py::test_a_link_stops_channels_pauses_and_chooses_the_language",),
    ),
    Mutation(
        "programs are answered in the cookie's language",
        "jyotiflow/languages.py",
        "if request.path_info.startswith(FOR_PROGRAMS):",
        "if False:",
        (f"{WEB}/test_languages.py::TestWhoDecides::test_programs_are_answered_in_english",),
    ),
    Mutation(
        "the switch of language leads to any site",
        "jyotiflow/languages.py",
        "redirect(wanted if is_ours else START_PAGE)",
        "redirect(wanted)",
        (f"{WEB}/test_languages.py",),
    ),
)
