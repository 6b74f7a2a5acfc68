"""django-post-office as a contender: its own Django project, its own database on the same server."""
