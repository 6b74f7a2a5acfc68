"""Failures of a month are counted from an index alone, in the queue and in the archive."""

from django.db import migrations, models

COVER = """
    DROP INDEX follow_up_archive_failed_day;
    CREATE INDEX follow_up_archive_failed_day
        ON follow_up_archive (failed_at) INCLUDE (channel, failure_code, id, language, template_id)
        WHERE status = 'failed';
"""
UNCOVER = """
    DROP INDEX follow_up_archive_failed_day;
    CREATE INDEX follow_up_archive_failed_day ON follow_up_archive (failed_at) WHERE failed_at IS NOT NULL;
"""


class Migration(migrations.Migration):
    dependencies = [("followups", "0018_keep_audiences")]

    operations = [
        migrations.RemoveIndex(model_name="followupschedule", name="follow_up_failed_day"),
        migrations.AddIndex(
            model_name="followupschedule",
            index=models.Index(
                fields=["failed_at"],
                include=["channel", "failure_code", "id", "language", "template"],
                name="follow_up_failed_day",
                condition=models.Q(status="failed"),
            ),
        ),
        migrations.RunSQL(COVER, UNCOVER),
    ]
