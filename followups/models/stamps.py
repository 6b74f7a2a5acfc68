"""The stamp by which every process knows at once that settings or templates have changed."""

import pgtrigger
from django.db import models

CATALOGUE = "catalogue"  # settings and templates together: both change seldom, one look tells

_BUMP = f"""
    INSERT INTO follow_up_stamps (name, stamp) VALUES ('{CATALOGUE}', gen_random_uuid())
        ON CONFLICT (name) DO UPDATE SET stamp = excluded.stamp;
    RETURN NULL;
"""  # noqa: S608  only our own word is put in


class Stamp(models.Model):
    """A value that is new after every change of what it stands for, and never comes back.

    Written by triggers alone, in the transaction of the change: whoever can see the change sees the new
    stamp, whatever made it, and a change that is rolled back takes its stamp with it.
    """

    name = models.CharField(max_length=50, primary_key=True)
    stamp = models.UUIDField()

    class Meta:
        db_table = "follow_up_stamps"

    def __str__(self) -> str:
        return self.name


def bumps_catalogue(name: str) -> pgtrigger.Trigger:
    """The trigger of a table that the catalogue is made of: one new stamp a statement."""
    return pgtrigger.Trigger(
        name=name,
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete | pgtrigger.Truncate,
        func=_BUMP,
    )
