"""Who gets what at every address, as data: the outcome by route, method and actor. No entry: refused."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jyotiflow.accounts.services import STAFF_GROUPS

GROUPS: Final = tuple(STAFF_GROUPS)
STAFF: Final = (*GROUPS, "staff", "superuser")  # "staff" is staff without any permission
PEOPLE: Final = ("owner", "other", *STAFF)
ACTORS: Final = ("anonymous", "machine", *PEOPLE)
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

LOGIN: Final = "login"  # sent to a sign-in page
IN: Final = "in"  # the admin site shows the page, or did what was asked and goes on

Outcome = int | str
Outcomes = Mapping[str, Outcome]


def everybody(outcome: Outcome) -> Outcomes:
    return dict.fromkeys(ACTORS, outcome)


def people(outcome: Outcome, otherwise: Outcome = 401) -> Outcomes:
    """Whoever is signed in."""
    return {**everybody(otherwise), **dict.fromkeys(PEOPLE, outcome)}


def owner(outcome: Outcome, others: Outcome = 404) -> Outcomes:
    """Whose thing it is; to anybody else it doesn't exist."""
    return {**people(others), "owner": outcome}


def staff(outcome: Outcome, *groups: str) -> Outcomes:
    """Superusers and these groups; other people are told that it's not for them."""
    return {**people(403), **dict.fromkeys([*groups, "superuser"], outcome)}


def machine(outcome: Outcome) -> Outcomes:
    return {**everybody(401), "machine": outcome}


@dataclass(frozen=True)
class Call:
    """What each actor gets; ``body`` is made of the world's rows, ``harmless`` who changes nothing by it."""

    outcomes: Outcomes
    body: Callable[[Any], Any] = lambda world: {}
    query: str = ""
    harmless: tuple[str, ...] = ()
    or_else: tuple[int, ...] = ()  # what one of the two methods gets from everybody


T, O, F, P, X, V = "Template editors", "Operators", "Finance", "Privacy", "Exporters", "Viewers"  # noqa: E741
FOLLOW_UP = "api/followup/"
TEMPLATE = {
    "name": "New",
    "template_type": "session_followup",
    "channel": "in_app",
    "subject": "Hello",
    "content": "Hello {{user_name}}",
}


def own_page(outcome: Outcome) -> Outcomes:
    """As ``owner``, for a page: who isn't signed in is sent to the sign-in."""
    return {**owner(outcome), "anonymous": LOGIN, "machine": LOGIN}


def both(outcomes: Outcomes) -> dict[str, Call]:
    """A page with a form: the same for showing and for sending it empty."""
    return {"GET": Call(outcomes), "POST": Call(outcomes)}


def redirect_for_any_method() -> dict[str, Call]:
    return {method: Call(everybody(302)) for method in METHODS if method != "HEAD"}


# --- Everything but the admin site ------------------------------------------------------------------------

ROUTES: Final[Mapping[str, Mapping[str, Call]]] = {
    "": redirect_for_any_method(),
    "favicon.ico": redirect_for_any_method(),
    "accounts/login": {
        "GET": Call(people(302, otherwise=200)),
        "POST": Call(people(302, otherwise=200)),
        "PUT": Call(people(302, otherwise=200)),
        "PATCH": Call(people(302, otherwise=405)),
        "DELETE": Call(people(302, otherwise=405)),
    },
    "accounts/logout": {"POST": Call(everybody(302))},
    "api/auth/login": {
        "POST": Call(everybody(200), lambda world: {"email": world.owner.email, "password": world.password})
    },
    "api/auth/refresh": {"POST": Call(everybody(200), lambda world: {"refresh_token": world.refresh_token})},
    "api/user/profile": {"GET": Call(people(200))},
    "api/user/credits": {"GET": Call(people(200))},
    "api/user/credits/history": {"GET": Call(people(200))},
    "api/user/sessions": {"GET": Call(people(200))},
    "api/schema": {"GET": Call(everybody(200))},
    "api/docs": {"GET": Call(everybody(200))},
    f"{FOLLOW_UP}schedule": {
        "POST": Call(people(201), lambda world: {"template_id": str(world.free.pk)}),
    },
    f"{FOLLOW_UP}quote": {"POST": Call(people(200), lambda world: {"template_id": str(world.free.pk)})},
    f"{FOLLOW_UP}my-followups": {"GET": Call(people(200))},
    f"{FOLLOW_UP}session/<text_id:session_id>": {"GET": Call(owner(200))},
    f"{FOLLOW_UP}cancel/<uuid:follow_up_id>": {"POST": Call(owner(200))},
    f"{FOLLOW_UP}reschedule/<uuid:follow_up_id>": {
        "POST": Call(owner(200), lambda world: {"scheduled_at": world.in_five_days})
    },
    f"{FOLLOW_UP}read/<uuid:follow_up_id>": {"POST": Call(owner(200))},
    **{
        f"{FOLLOW_UP}{channel}/<text_id:session_id>": {"POST": Call(owner(200))}
        for channel in ("email", "sms", "whatsapp")
    },
    f"{FOLLOW_UP}preferences": {
        "GET": Call(people(200)),
        "PUT": Call(people(200), lambda world: {"quiet_hours": None}),
    },
    f"{FOLLOW_UP}devices": {
        "POST": Call(people(201), lambda world: {"token": "new", "platform": "ios"}),
        "DELETE": Call(owner(200), lambda world: {"token": world.device_token}),
    },
    f"{FOLLOW_UP}privacy/export": {"GET": Call(people(200))},
    f"{FOLLOW_UP}privacy/erase": {"POST": Call(people(403), lambda world: {"password": "wrong"})},
    f"{FOLLOW_UP}admin/templates": {
        "GET": Call(staff(200, T, O, V)),
        "POST": Call(staff(201, T), lambda world: TEMPLATE),
    },
    f"{FOLLOW_UP}admin/templates/<uuid:template_id>": {
        "PUT": Call(staff(200, T), lambda world: {"subject": "Changed"}),
        "DELETE": Call(staff(200, T)),
    },
    f"{FOLLOW_UP}admin/templates/<uuid:template_id>/preview": {"POST": Call(staff(200, T, O, V))},
    f"{FOLLOW_UP}admin/templates/<uuid:template_id>/test": {
        # Its channel is the inbox, which has no addresses.
        "POST": Call(staff(400, T, O), lambda world: {"to": "somebody@example.test"})
    },
    "api/notify/followup": {
        "POST": Call(
            staff(200, O),
            lambda world: {
                "channel": "email",
                "to": "somebody@example.test",
                "subject": "Hello",
                "message": "A word.",
            },
        )
    },
    f"{FOLLOW_UP}admin/schedules": {"GET": Call(staff(200, O, F, X, V))},
    f"{FOLLOW_UP}admin/schedules/<uuid:follow_up_id>/cancel": {"POST": Call(staff(200, O))},
    f"{FOLLOW_UP}admin/schedules/<uuid:follow_up_id>/retry": {
        "POST": Call(staff(409, O))
    },  # it hasn't failed
    f"{FOLLOW_UP}admin/analytics": {"GET": Call(staff(200, O, F, V))},
    f"{FOLLOW_UP}admin/settings": {
        "GET": Call(staff(200, O, V)),
        "PUT": Call(staff(200, O), lambda world: {"refund_on_cancel": False}),
    },
    f"{FOLLOW_UP}auto/session-complete": {
        "POST": Call(
            machine(200), lambda world: {"session_id": world.session.pk, "user_email": world.owner.email}
        )
    },
    f"{FOLLOW_UP}receipts/twilio": {"POST": Call(everybody(403))},
    f"{FOLLOW_UP}receipts/twilio/inbound": {"POST": Call(everybody(403))},
    f"{FOLLOW_UP}receipts/email/<slug:esp>": {"POST": Call(everybody(403))},
    f"{FOLLOW_UP}health/followup": {"GET": Call(everybody(200))},
    "livez": {"GET": Call(everybody(200))},
    "readyz": {"GET": Call(everybody(200))},
    "metrics": {"GET": Call({**everybody(403), **dict.fromkeys(STAFF, 200)})},
    "followups/": {"GET": Call(people(200, otherwise=LOGIN))},
    **{
        f"followups/{page}": {"GET": Call(people(200, otherwise=LOGIN))}
        for page in ("others", "inbox", "credits", "data")
    },
    "followups/preferences": both(people(200, otherwise=LOGIN)),
    "followups/data/export": {"POST": Call(people(200, otherwise=LOGIN))},
    "followups/data/erase": both(people(200, otherwise=LOGIN)),  # which asks for the password
    "followups/goodbye": {"GET": Call(everybody(200))},
    "followups/session/<text_id:session_id>": {"GET": Call(own_page(200))},
    "followups/session/<text_id:session_id>/new": {
        "GET": Call(own_page(200)),
        "POST": Call(own_page(302), lambda world: world.order()),
    },
    "followups/<uuid:follow_up_id>": {"GET": Call(own_page(200))},
    "followups/<uuid:follow_up_id>/cancel": {"GET": Call(own_page(200)), "POST": Call(own_page(302))},
    "followups/<uuid:follow_up_id>/reschedule": both(own_page(200)),  # no time is given
    "followups/inbox/<uuid:follow_up_id>": {"GET": Call(own_page(200))},
    "language/<slug:language>": {"GET": Call(everybody(302))},
    "u/preferences/<str:token>": both(everybody(404)),  # for another purpose
    "u/<str:token>": {"GET": Call(everybody(200)), "POST": Call(everybody(200))},
    "u/back/<str:token>": {"GET": Call(everybody(404)), "POST": Call(everybody(404))},  # for another purpose
    "^api(?:/(?P<path>.*))?$": {method: Call(everybody(404)) for method in METHODS if method != "HEAD"},
}
# What changes something without a CSRF token: each has another proof, or nothing of a person's to lose.
WITHOUT_CSRF_TOKEN: Final = {
    "": "only redirects",
    "favicon.ico": "only redirects",
    "api/auth/login": "takes no cookie",
    "api/auth/refresh": "takes no cookie",
    f"{FOLLOW_UP}auto/session-complete": "takes no cookie, asks for a key",
    f"{FOLLOW_UP}receipts/twilio": "takes no cookie, asks for a signature",
    f"{FOLLOW_UP}receipts/twilio/inbound": "takes no cookie, asks for a signature",
    f"{FOLLOW_UP}receipts/email/<slug:esp>": "takes no cookie, asks for a secret",
    "u/<str:token>": "takes no cookie, the link is signed",
    "u/back/<str:token>": "takes no cookie, the link is signed",
    "u/preferences/<str:token>": "takes no cookie, the link is signed",
    "^api(?:/(?P<path>.*))?$": "is nothing",
}


# --- The admin site ---------------------------------------------------------------------------------------

NOBODY: Final = None


@dataclass(frozen=True)
class Doors:
    """Which groups may do what with a table; superusers too, unless it's ``NOBODY``.

    ``actions`` are those offered on the list, by whom.
    """

    view: tuple[str, ...] | None = ()
    add: tuple[str, ...] | None = ()
    change: tuple[str, ...] | None = ()
    delete: tuple[str, ...] | None = ()
    actions: Mapping[str, tuple[str, ...]] | None = None


def read_only(*view: str, **actions: tuple[str, ...]) -> Doors:
    return Doors(view=view, add=NOBODY, change=NOBODY, delete=NOBODY, actions=actions)


DELETE: Final[Mapping[str, tuple[str, ...]]] = {"delete_selected": ()}
TABLES: Final[Mapping[str, Doors]] = {
    "accounts.machinekey": Doors(actions=DELETE),
    "accounts.user": Doors(
        view=(O, F, P), actions={"export_selected": (P,), "erase_selected": (P,), "delete_selected": ()}
    ),
    "auditing.auditentry": read_only(O, F, P, X, export_selected=(X,)),
    "auth.group": Doors(actions=DELETE),
    "credits.creditaccount": read_only(F),
    "credits.creditentry": read_only(F, X, export_selected=(X,)),
    "django_celery_beat.clockedschedule": Doors(actions=DELETE),
    "django_celery_beat.crontabschedule": Doors(actions=DELETE),
    "django_celery_beat.intervalschedule": Doors(actions=DELETE),
    "django_celery_beat.periodictask": Doors(
        view=(O,),
        change=(O,),
        actions={
            **DELETE,
            **dict.fromkeys(["disable_tasks", "enable_tasks", "run_tasks", "toggle_tasks"], (O,)),
        },
    ),
    "django_celery_beat.solarschedule": Doors(actions=DELETE),
    "followups.attempt": read_only(O),
    "followups.bulkchange": read_only(O),
    "followups.bulkitem": read_only(O),
    "followups.channelswitch": read_only(O, pause=(O,), resume=(O,)),
    "followups.consentevent": read_only(O),
    "followups.device": Doors(view=(O,), add=NOBODY, change=NOBODY, actions=DELETE),
    "followups.directmessage": read_only(T, O),
    "followups.erasure": read_only(P),
    "followups.errorrule": Doors(view=(O,), add=(O,), change=(O,), actions={**DELETE, "restore": (O,)}),
    "followups.followupanalytics": read_only(O, F, V),
    "followups.followupschedule": read_only(
        *(O, F, X, V),
        **dict.fromkeys(["cancel_selected", "move_selected", "retry_selected"], (O,)),
        export_selected=(X,),
    ),
    "followups.followupsetting": Doors(view=(O, V), add=NOBODY, change=(O,), delete=NOBODY),
    "followups.followuptemplate": Doors(
        view=(T, O, V), add=(T,), change=(T,), delete=(T,), actions={"export_selected": (T, O, V)}
    ),
    "followups.idempotentanswer": read_only(),
    "followups.inappmessage": read_only(O),
    "followups.inboundmessage": read_only(O),
    "followups.providerevent": read_only(O),
    "followups.recipientpreference": Doors(view=(O,), actions=DELETE),
    "followups.sandboxmessage": read_only(T, O),
    "followups.sessionplan": read_only(),
    "followups.suppression": Doors(view=(O,), add=(O,), change=NOBODY, delete=(O,)),
    "followups.templateversion": read_only(T, O, V),
    # The session the matrix knows has follow-ups, and such a one stays.
    "sessions_app.session": Doors(
        view=(O,), change=(O,), delete=NOBODY, actions={**DELETE, "complete_sessions": (O,)}
    ),
    "token_blacklist.blacklistedtoken": Doors(actions=DELETE),
    "token_blacklist.outstandingtoken": read_only(),
}


def behind_sign_in(outcome: Outcome, *, to: tuple[str, ...] = STAFF, otherwise: Outcome = 403) -> Outcomes:
    """A page of the admin site for these; other staff get another outcome, everybody else signs in first."""
    return {**everybody(LOGIN), **dict.fromkeys(STAFF, otherwise), **dict.fromkeys(to, outcome)}


def superusers_and(*groups: str) -> tuple[str, ...]:
    return (*groups, "superuser")


# The admin site's other addresses, the same for looking and sending.
ADMIN_ROUTES: Final[Mapping[str, Call]] = {
    "admin/": Call(behind_sign_in(IN)),
    "admin/login/": Call(everybody(IN)),
    "admin/logout/": Call(everybody(IN), or_else=(405,)),
    "admin/password_change/": Call(behind_sign_in(IN)),
    "admin/password_change/done/": Call(behind_sign_in(IN), or_else=(405,)),
    "admin/jsi18n/": Call(behind_sign_in(IN), or_else=(405,)),
    "admin/autocomplete/": Call(
        behind_sign_in(IN, to=superusers_and(O, F, P)),
        query="app_label=followups&model_name=recipientpreference&field_name=user",
        or_else=(405,),
    ),
    "admin/r/<path:content_type_id>/<path:object_id>/": Call(behind_sign_in(404)),
    "admin/followups/dashboard/": Call(behind_sign_in(IN, to=superusers_and(O, F, V)), or_else=(405,)),
    "admin/followups/dashboard/switch/": Call(behind_sign_in(IN, to=superusers_and(O)), or_else=(405,)),
    "admin/credits/creditaccount/grant/": Call(behind_sign_in(IN, to=superusers_and(F))),
    "admin/followups/refund/": Call(behind_sign_in(404, to=superusers_and(F))),  # no follow-up is named
    "admin/followups/simulate/": Call(behind_sign_in(IN, to=superusers_and(O))),
    "admin/followups/simulate/csv/": Call(behind_sign_in(IN, to=("superuser",)), or_else=(405,)),
    "admin/followups/settings/": Call(behind_sign_in(IN, to=superusers_and(O))),
    "admin/followups/followuptemplate/import/": Call(behind_sign_in(IN, to=superusers_and(T))),
    "admin/followups/bulkchange/<int:pk>/progress/": Call(
        behind_sign_in(IN, to=superusers_and(O)), or_else=(405,)
    ),
    "admin/followups/followupschedule/import/": Call(behind_sign_in(IN, to=superusers_and(O))),
    "admin/followups/followupschedule/import/example/": Call(
        behind_sign_in(IN, to=superusers_and(O)), or_else=(405,)
    ),
    **{
        f"admin/followups/bulkchange/<int:pk>/{act}/": Call(
            behind_sign_in(IN, to=superusers_and(O)), or_else=(405,)
        )
        for act in ("run", "stop")
    },
    "admin/followups/sandboxmessage/<uuid:pk>/html/": Call(behind_sign_in(IN, to=superusers_and(T, O))),
    **{
        f"admin/followups/followuptemplate/{page}": Call(
            behind_sign_in(IN, to=superusers_and(T, O, V)), or_else=(405,)
        )
        for page in ("preview/", "<uuid:pk>/versions/")
    },
    "admin/followups/followuptemplate/preview/mail/": Call(
        behind_sign_in(404, to=superusers_and(T, O, V)),
        or_else=(405,),  # in no language
    ),
    "admin/followups/followuptemplate/<uuid:pk>/test/": Call(
        behind_sign_in(IN, to=superusers_and(T, O)), or_else=(405,)
    ),
    "admin/followups/followuptemplate/<uuid:pk>/restore/": Call(
        behind_sign_in(IN, to=superusers_and(T)), query="version=1", or_else=(404,)
    ),
    "admin/followups/followuptemplate/<uuid:pk>/apply/": Call(
        behind_sign_in(IN, to=superusers_and(T)), or_else=(404,)
    ),
    "admin/accounts/user/<id>/password/": Call(behind_sign_in(IN, to=("superuser",))),
    # The app's page, here the follow-ups': for whoever may see one of its tables.
    "admin/^(?P<app_label>": Call(behind_sign_in(IN, to=superusers_and(*GROUPS), otherwise=404)),
    "admin/(?P<url>.*)$": Call(behind_sign_in(404)),
}
PAGES: Final = {
    "": "view",
    "add/": "add",
    "<path:object_id>/change/": "change",
    "<path:object_id>/delete/": "delete",
    "<path:object_id>/history/": "view",
    "<path:object_id>/": "redirect",
}


def table_outcomes(label: str, page: str, method: str) -> Outcomes:
    """What a table's page gives: seeing needs ``view``, sending what the page is for."""
    doors, need = TABLES[label], PAGES[page]
    if need == "redirect":  # to the change page, which asks
        return behind_sign_in(IN)
    if need == "change" and method in ("GET", "HEAD"):
        need = "view"
    who: tuple[str, ...] | None = getattr(doors, need)
    return behind_sign_in(IN, to=() if who is None else superusers_and(*who))
