"""Words for lists and filters; nothing changes in the database."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("followups", "0019_count_failures_by_index"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="inappmessage",
            options={"ordering": ["-created_at"], "verbose_name": "in-app message"},
        ),
        migrations.AlterField(
            model_name="attempt",
            name="gate_at",
            field=models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(), verbose_name="called"
            ),
        ),
        migrations.AlterField(
            model_name="channelswitch",
            name="is_paused",
            field=models.BooleanField(default=False, verbose_name="paused"),
        ),
        migrations.AlterField(
            model_name="followupsetting",
            name="is_active",
            field=models.BooleanField(
                db_default=True, default=True, help_text="Off: as if it were missing.", verbose_name="active"
            ),
        ),
        migrations.AlterField(
            model_name="followuptemplate",
            name="is_active",
            field=models.BooleanField(db_default=True, default=True, verbose_name="active"),
        ),
    ]
