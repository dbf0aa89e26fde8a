"""Celery with kombu's SQS transport: a worker charges orders; one is charged later, one at the second attempt."""
import os
import queue
import time
from urllib.parse import quote, urlsplit

from celery import Celery
from celery.contrib.testing.worker import start_worker

endpoint = urlsplit(os.environ["AWS_ENDPOINT_URL"])
key, secret = (quote(os.environ[name], safe="") for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))

app = Celery("orders", broker=f"sqs://{key}:{secret}@{endpoint.netloc}/")
app.conf.update(
    broker_transport_options={
        "region": os.environ["AWS_REGION"],
        "is_secure": False,
        "wait_time_seconds": 20,
        "visibility_timeout": 60,
    },
    task_default_queue="orders",
    task_acks_late=True,
    worker_enable_remote_control=False,
)

charged = queue.Queue()
attempts = []


@app.task(bind=True, max_retries=3)
def charge(self, order):
    attempts.append(order)
    if order == 3 and self.request.retries == 0:
        raise self.retry(countdown=1, exc=RuntimeError("the card service is down"))
    charged.put((order, time.monotonic()))


with start_worker(app, pool="solo", perform_ping_check=False, loglevel="warning"):
    started = time.monotonic()
    charge.delay(1)
    charge.apply_async([2], countdown=2)
    charge.delay(3)
    done = dict(charged.get(timeout=60) for _ in range(3))

assert sorted(done) == [1, 2, 3], done
assert sorted(attempts) == [1, 2, 3, 3], attempts
assert done[2] - started >= 2, "the countdown was not kept"
assert done[1] - started < 20, "the long poll did not end when an order came"
print(f"orders: {len(done)} charged, {len(attempts) - len(done)} retried")
