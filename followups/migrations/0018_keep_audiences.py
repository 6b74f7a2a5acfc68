"""Who was written to and who read it, kept as sets of ids; those of past days are made from their follow-ups."""

from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from pyroaring import BitMap64

import followups.conf

# A set is dense already: to press it costs time at each read.
AS_IT_IS = """
    ALTER TABLE follow_up_audiences ALTER recipients SET STORAGE EXTERNAL, ALTER readers SET STORAGE EXTERNAL
"""
OF_DAY = """
    SELECT template_id, channel, language, array_agg(user_id),
           coalesce(array_agg(user_id) FILTER (WHERE status = 'read'), '{}')
      FROM follow_up_schedules
     WHERE sent_at >= %(day)s::date::timestamp AT TIME ZONE %(zone)s
       AND sent_at < (%(day)s::date + 1)::timestamp AT TIME ZONE %(zone)s
     GROUP BY template_id, channel, language
"""


def fill(apps: Any, schema_editor: Any) -> None:
    """The days that have figures. Longer spans follow with the next roll-up."""
    audiences = apps.get_model("followups", "Audience").objects
    dates = (
        apps.get_model("followups", "FollowUpAnalytics")
        .objects.order_by("date")
        .values_list("date", flat=True)
    )
    with schema_editor.connection.cursor() as cursor:
        for day in dates.distinct():
            cursor.execute(OF_DAY, {"day": day, "zone": settings.FOLLOWUP_REPORT_TIME_ZONE})
            audiences.bulk_create(
                audiences.model(
                    span="day",
                    last_on=day,
                    template_id=template_id,
                    channel=channel,
                    language=language,
                    recipients=BitMap64(recipients).serialize(),
                    readers=BitMap64(readers).serialize(),
                )
                for template_id, channel, language, recipients, readers in cursor.fetchall()
            )


class Migration(migrations.Migration):
    dependencies = [("followups", "0017_count_by_language")]

    operations = [
        migrations.CreateModel(
            name="Audience",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "span",
                    models.CharField(
                        choices=[("day", "Day"), ("month", "Month"), ("ever", "Ever")], max_length=5
                    ),
                ),
                ("last_on", models.DateField()),
                ("channel", models.CharField(choices=followups.conf.channel_choices, max_length=20)),
                ("language", models.CharField(choices=[("en", "English"), ("ta", "Tamil")], max_length=8)),
                ("recipients", models.BinaryField()),
                ("readers", models.BinaryField()),
                (
                    "template",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="audiences",
                        to="followups.followuptemplate",
                    ),
                ),
            ],
            options={
                "db_table": "follow_up_audiences",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("span", "last_on", "template", "channel", "language"),
                        name="audience_one_row_per_span_template_channel_language",
                    )
                ],
            },
        ),
        migrations.RunSQL(AS_IT_IS, migrations.RunSQL.noop),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
