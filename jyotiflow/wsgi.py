"""The WSGI entry gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

from jyotiflow.body import ReadChunkedBodies

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jyotiflow.settings")

application = ReadChunkedBodies(get_wsgi_application())
