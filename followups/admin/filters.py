"""Filters in the admin's side bar that Django has no words for."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _


class IsSetFilter(admin.SimpleListFilter):
    """Yes or no: whether a nullable column has a value."""

    column: str

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("Yes")), ("no", _("No"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() in ("yes", "no"):
            return queryset.filter(**{f"{self.column}__isnull": self.value() == "no"})
        return queryset


class FormFilter(admin.ListFilter):
    """Values that are typed or picked in a small form, for what has too many choices for a list of links.

    A subclass gives the form; its fields' names are the parameters. What isn't valid shows its error and
    finds nothing, lest an action on "all that match" meets what nobody asked for.
    """

    template = "admin/followups/form_filter.html"
    form_class: type[forms.Form]

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        for name in self.form_class.base_fields:
            if name in params:
                self.used_parameters[name] = params.pop(name)[-1]
        self.form = self.form_class(
            self.used_parameters or None, auto_id="filter_%s", use_required_attribute=False
        )

    def expected_parameters(self) -> list[str | None]:
        return list(self.form_class.base_fields)

    def has_output(self) -> bool:
        return True

    def choices(self, changelist: Any) -> Iterator[dict[str, Any]]:
        """One: the form, and the list's other parameters, which it sends along."""
        mine = {*self.expected_parameters(), "p", "e"}
        others = [
            (name, value)
            for name, values in changelist.filter_params.items()
            if name not in mine
            for value in values
        ]
        yield {
            "form": self.form,
            "others": others,
            "is_used": bool(self.used_parameters),
            "without": changelist.get_query_string(remove=self.expected_parameters()),
        }

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.used_parameters:
            return queryset
        return self.narrow(queryset, self.form.cleaned_data) if self.form.is_valid() else queryset.none()

    def narrow(self, queryset: QuerySet[Any], values: dict[str, Any]) -> QuerySet[Any]:
        """The rows that the form's values mean."""
        raise NotImplementedError
