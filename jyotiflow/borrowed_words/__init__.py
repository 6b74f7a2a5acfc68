"""Words of Django's own pages, and of django-celery-beat's, which their Tamil lacks or has wrong.

`make messages` finds them here; nothing imports this. `locale/` comes before the packages' own catalogues.
"""
