"""Words for lists and filters; nothing changes in the database."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_index_lists"),
    ]

    operations = [
        migrations.AlterField(
            model_name="machinekey",
            name="is_active",
            field=models.BooleanField(default=True, verbose_name="active"),
        ),
    ]
