"""How many processes and threads, and under which settings: the one place to change them."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Ours:
    """The product's workers. Every worker takes every queue."""

    processes: int = 2
    threads: int = 64
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PostOffice:
    """django-post-office: processes of its command, its ``BATCH_SIZE`` and ``THREADS_PER_PROCESS``."""

    processes: int = 1
    batch: int = 100
    threads: int = 5


# What docs/performance.md recommends. Most threads wait: for their provider, or for those they commit with.
OURS = Ours(environment={"DATABASE_POOL_SIZE": "40"})
POST_OFFICE = {
    "post_office_default": PostOffice(),
    "post_office_threads": PostOffice(batch=1000, threads=4),
    "post_office_best": PostOffice(batch=5000, processes=2),
}
