"""What the view with one insert inserts."""

from django.db import models

CREATE = """
    CREATE TABLE bench_notes (
        id bigserial PRIMARY KEY, user_id bigint NOT NULL, title varchar(200) NOT NULL, text text NOT NULL,
        created_at timestamptz NOT NULL
    )
"""


class Note(models.Model):
    """A plain row."""

    user_id = models.BigIntegerField()
    title = models.CharField(max_length=200)
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "web"
        db_table = "bench_notes"
        managed = False

    def __str__(self) -> str:
        return self.title
