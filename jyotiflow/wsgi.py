"""The WSGI entry gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jyotiflow.settings")

from jyotiflow.body import ReadChunkedBodies  # needs the settings named above

application = ReadChunkedBodies(get_wsgi_application())
