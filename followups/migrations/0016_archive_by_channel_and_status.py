"""In the archive, too, what failed on one channel is found without reading all that failed anywhere."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("followups", "0015_count_and_order")]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX follow_up_archive_channel_status"
            " ON follow_up_archive (channel, status, scheduled_at DESC, id DESC)",
            "DROP INDEX follow_up_archive_channel_status",
        )
    ]
