"""The archive: finished follow-ups, their calls and their place in the inbox, in tables that inherit the queue's.

Whoever reads the queue's tables reads these too, and so does an UPDATE or a DELETE; a condition on an open state
leaves them out, because their constraints say that there is none. They are written once and read at times, so
they have the indexes of the lists and none of the queue.
"""

import django.db.models.deletion
from django.db import migrations, models

MAKE_ARCHIVE = """
    ALTER TABLE follow_up_schedules
        ADD CONSTRAINT follow_up_queue_holds_no_archive CHECK (archived_at IS NULL) NO INHERIT;

    CREATE TABLE follow_up_archive (
        CONSTRAINT follow_up_archive_pkey PRIMARY KEY (id),
        CONSTRAINT follow_up_archive_is_finished CHECK (
            archived_at IS NOT NULL AND status IN ('sent', 'delivered', 'read', 'failed', 'cancelled')),
        CONSTRAINT follow_up_archive_holds_no_retry CHECK (retry_of_id IS NULL),
        CONSTRAINT follow_up_archive_user FOREIGN KEY (user_id)
            REFERENCES accounts_user DEFERRABLE INITIALLY DEFERRED,
        CONSTRAINT follow_up_archive_session FOREIGN KEY (session_id)
            REFERENCES sessions DEFERRABLE INITIALLY DEFERRED,
        CONSTRAINT follow_up_archive_template FOREIGN KEY (template_id)
            REFERENCES follow_up_templates DEFERRABLE INITIALLY DEFERRED,
        CONSTRAINT follow_up_archive_version FOREIGN KEY (template_version_id)
            REFERENCES follow_up_template_versions DEFERRABLE INITIALLY DEFERRED
    ) INHERITS (follow_up_schedules);
    CREATE INDEX follow_up_archive_user_newest ON follow_up_archive (user_id, scheduled_at DESC, id DESC);
    CREATE INDEX follow_up_archive_session ON follow_up_archive (session_id);
    CREATE INDEX follow_up_archive_template ON follow_up_archive (template_id, scheduled_at DESC, id DESC);
    CREATE INDEX follow_up_archive_version ON follow_up_archive (template_version_id);
    CREATE INDEX follow_up_archive_channel ON follow_up_archive (channel, scheduled_at DESC, id DESC);
    CREATE INDEX follow_up_archive_status ON follow_up_archive (status, scheduled_at DESC, id DESC);
    CREATE INDEX follow_up_archive_newest ON follow_up_archive (scheduled_at DESC, id DESC);
    CREATE INDEX follow_up_archive_message ON follow_up_archive (provider_message_id)
        WHERE provider_message_id <> '';
    CREATE INDEX follow_up_archive_changed ON follow_up_archive (updated_at);
    CREATE INDEX follow_up_archive_charged_day ON follow_up_archive (created_at);
    CREATE INDEX follow_up_archive_sent_day ON follow_up_archive (sent_at) WHERE sent_at IS NOT NULL;
    CREATE INDEX follow_up_archive_failed_day ON follow_up_archive (failed_at) WHERE failed_at IS NOT NULL;
    CREATE INDEX follow_up_archive_refunded_day ON follow_up_archive (refunded_at) WHERE refunded_at IS NOT NULL;
    CREATE INDEX follow_up_archive_late_delivered ON follow_up_archive (channel)
        WHERE refunded_at IS NOT NULL AND status IN ('delivered', 'read');
    -- A report may come late and take a sent one back.
    CREATE TRIGGER follow_up_archive_keeps_session_counts AFTER UPDATE OF status ON follow_up_archive
        FOR EACH ROW WHEN (NEW.session_id IS NOT NULL AND OLD.status <> NEW.status)
        EXECUTE FUNCTION pgtrigger_follow_up_keeps_session_counts_f3de4();

    CREATE TABLE follow_up_attempts_archive (
        CONSTRAINT follow_up_attempts_archive_pkey PRIMARY KEY (id),
        CONSTRAINT attempt_archive_is_finished CHECK (
            state IN ('accepted', 'rejected', 'not_processed', 'absent', 'abandoned')),
        CONSTRAINT attempt_archive_number_unique UNIQUE (follow_up_id, number),
        CONSTRAINT attempt_archive_follow_up FOREIGN KEY (follow_up_id)
            REFERENCES follow_up_archive DEFERRABLE INITIALLY DEFERRED
    ) INHERITS (follow_up_attempts);
    CREATE UNIQUE INDEX attempt_archive_message_has_one_owner
        ON follow_up_attempts_archive (provider, provider_message_id)
        WHERE state = 'accepted' AND provider_message_id <> '';

    CREATE TABLE follow_up_in_app_archive (
        CONSTRAINT follow_up_in_app_archive_pkey PRIMARY KEY (id),
        CONSTRAINT in_app_archive_once_per_follow_up UNIQUE (follow_up_id),
        CONSTRAINT in_app_archive_follow_up FOREIGN KEY (follow_up_id)
            REFERENCES follow_up_archive DEFERRABLE INITIALLY DEFERRED,
        CONSTRAINT in_app_archive_user FOREIGN KEY (user_id)
            REFERENCES accounts_user DEFERRABLE INITIALLY DEFERRED
    ) INHERITS (follow_up_in_app_messages);
    CREATE INDEX in_app_archive_user ON follow_up_in_app_archive (user_id);
"""
EMPTY_ARCHIVE = """
    ALTER TABLE follow_up_schedules DROP CONSTRAINT follow_up_queue_holds_no_archive;
    ALTER TABLE follow_up_schedules DISABLE TRIGGER USER;
    INSERT INTO follow_up_schedules SELECT * FROM follow_up_archive;
    ALTER TABLE follow_up_schedules ENABLE TRIGGER USER;
    INSERT INTO follow_up_attempts SELECT * FROM follow_up_attempts_archive;
    INSERT INTO follow_up_in_app_messages SELECT * FROM follow_up_in_app_archive;
    SET CONSTRAINTS ALL IMMEDIATE;
    DROP TABLE follow_up_in_app_archive, follow_up_attempts_archive, follow_up_archive;
"""


class Migration(migrations.Migration):
    dependencies = [("followups", "0010_trim_indexes")]

    operations = [
        migrations.AddField(
            model_name="followupschedule",
            name="archived_at",
            field=models.DateTimeField(
                blank=True,
                editable=False,
                help_text="Since then in the archive: shown, never sent again.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="providerevent",
            name="attempt",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="events",
                to="followups.attempt",
            ),
        ),
        migrations.RunSQL(MAKE_ARCHIVE, EMPTY_ARCHIVE),
    ]
