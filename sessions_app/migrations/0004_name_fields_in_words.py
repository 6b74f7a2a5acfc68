"""Words for lists and filters; nothing changes in the database."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("sessions_app", "0003_index_lists"),
    ]

    operations = [
        migrations.AlterField(
            model_name="session",
            name="follow_up_count",
            field=models.IntegerField(db_default=0, default=0, editable=False, verbose_name="follow-ups"),
        ),
        migrations.AlterField(
            model_name="session",
            name="follow_up_sent",
            field=models.BooleanField(
                db_default=False, default=False, editable=False, verbose_name="follow-up sent"
            ),
        ),
    ]
