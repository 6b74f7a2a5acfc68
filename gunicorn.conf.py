"""gunicorn's settings wherever it serves the product; the address comes from PORT or --bind."""

from pathlib import Path

worker_class = "gthread"
workers = 2
threads = 8
timeout = 30
graceful_timeout = 30
# Longer than a load balancer keeps an idle connection, so that it is never the one to meet a closed one.
keepalive = 75
max_requests = 20_000
max_requests_jitter = 2_000
# The heartbeat file must not wait for a disk.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None
control_socket_disable = True
