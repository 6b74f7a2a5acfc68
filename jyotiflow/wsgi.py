"""The WSGI entry gunicorn serves; whatever serves it, it refuses to load half configured."""

import os

from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jyotiflow.settings")

from jyotiflow.body import ReadChunkedBodies  # needs the settings named above

application = ReadChunkedBodies(get_wsgi_application())
call_command("check")  # a SystemCheckError names the variable to set, and ends gunicorn too
