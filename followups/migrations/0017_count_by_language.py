"""The daily figures tell languages apart. Those there are get split by what their follow-ups say.

Each keeps the price its revenue was counted at, so that the sums stay what they were.
"""

from django.conf import settings
from django.db import migrations, models

_OLD = """
           sum(total_sent), sum(total_delivered), sum(total_read), sum(total_failed),
           sum(delivered_after_refund), sum(credits_charged), sum(credits_refunded), sum(revenue_generated)
"""
_COLUMNS = """
           total_sent, total_delivered, total_read, total_failed,
           delivered_after_refund, credits_charged, credits_refunded, revenue_generated
"""
SPLIT = f"""
    WITH facts AS (
        SELECT sent_at AS moment, template_id, channel, language, 1 AS sent,
               (delivered_at IS NOT NULL AND status IN ('delivered', 'read'))::int AS delivered,
               (read_at IS NOT NULL AND status = 'read')::int AS read,
               (status = 'failed')::int AS failed,
               (status IN ('delivered', 'read') AND refunded_at IS NOT NULL)::int AS late,
               0 AS charged, 0 AS refunded,
               CASE WHEN status IN ('sent', 'delivered', 'read')
                    THEN credits_charged - credits_refunded ELSE 0 END AS kept
          FROM follow_up_schedules WHERE sent_at IS NOT NULL
        UNION ALL
        SELECT failed_at, template_id, channel, language, 0, 0, 0, 1, 0, 0, 0, 0
          FROM follow_up_schedules WHERE failed_at IS NOT NULL AND status = 'failed' AND sent_at IS NULL
        UNION ALL
        SELECT created_at, template_id, channel, language, 0, 0, 0, 0, 0, credits_charged, 0, 0
          FROM follow_up_schedules
        UNION ALL
        SELECT refunded_at, template_id, channel, language, 0, 0, 0, 0, 0, 0, credits_refunded, 0
          FROM follow_up_schedules WHERE refunded_at IS NOT NULL
    ), days AS (
        SELECT (moment AT TIME ZONE %s)::date AS date, template_id, channel, language,
               sum(sent) AS sent, sum(delivered) AS delivered, sum(read) AS read, sum(failed) AS failed,
               sum(late) AS late, sum(charged) AS charged, sum(refunded) AS refunded, sum(kept) AS kept,
               sum(sum(kept)) OVER (
                   PARTITION BY (moment AT TIME ZONE %s)::date, template_id, channel) AS kept_in_all
          FROM facts GROUP BY 1, 2, 3, 4
    ), whole AS (
        DELETE FROM follow_up_analytics RETURNING *
    )
    INSERT INTO follow_up_analytics (id, date, template_id, channel, language, {_COLUMNS},
                                     created_at, updated_at)
    SELECT gen_random_uuid(), date, template_id, channel, days.language, sent, delivered, read, failed, late,
           charged, refunded,
           CASE WHEN kept_in_all = 0 THEN 0 ELSE whole.revenue_generated * kept / kept_in_all END,
           whole.created_at, whole.updated_at
      FROM days JOIN whole USING (date, template_id, channel)
"""  # noqa: S608  only our own words are put in
JOIN = f"""
    WITH split AS (DELETE FROM follow_up_analytics RETURNING *)
    INSERT INTO follow_up_analytics (id, date, template_id, channel, language, {_COLUMNS},
                                     created_at, updated_at)
    SELECT gen_random_uuid(), date, template_id, channel, '', {_OLD}, min(created_at), max(updated_at)
      FROM split GROUP BY date, template_id, channel
"""  # noqa: S608  only our own words are put in


class Migration(migrations.Migration):
    dependencies = [("followups", "0016_archive_by_channel_and_status")]

    operations = [
        migrations.AddField(
            model_name="followupanalytics",
            name="language",
            field=models.CharField(
                choices=[("en", "English"), ("ta", "Tamil")],
                default="",
                help_text="The language it is sent in.",
                max_length=8,
            ),
            preserve_default=False,
        ),
        migrations.RemoveConstraint(
            model_name="followupanalytics", name="analytics_one_row_per_day_template_channel"
        ),
        migrations.AddConstraint(
            model_name="followupanalytics",
            constraint=models.UniqueConstraint(
                fields=("date", "template", "channel", "language"),
                name="analytics_one_row_per_day_template_channel_language",
            ),
        ),
        migrations.RunSQL(
            [(SPLIT, [settings.FOLLOWUP_REPORT_TIME_ZONE] * 2), ("SET CONSTRAINTS ALL IMMEDIATE", None)],
            [JOIN, "SET CONSTRAINTS ALL IMMEDIATE"],
        ),
    ]
