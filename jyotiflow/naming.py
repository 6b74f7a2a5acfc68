"""Names that apps, models and fields have by themselves, in the language of the page that shows them.

Without it each would have to be marked, and written into a migration, to be translated.
"""

from django.apps import apps
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy, override


def translate_names() -> None:
    """From here on names go through gettext; neither migrations nor what is stored know of it.

    To be called before forms are made of the models. What may be shown is listed in `borrowed_words.names`.
    """
    for app in apps.get_app_configs():
        app.verbose_name = gettext_lazy(_in_english(app.verbose_name))
    for model in apps.get_models():
        options = model._meta
        names = _in_english(options.verbose_name), _in_english(options.verbose_name_plural)
        options.verbose_name, options.verbose_name_plural = map(gettext_lazy, names)
        for field in (*options.local_fields, *options.local_many_to_many):
            if not isinstance(field.verbose_name, Promise):
                field.verbose_name = gettext_lazy(field.verbose_name)


def _in_english(name: object) -> str:
    with override(None):
        return str(name)
