"""
The order pipeline with Celery and kombu's SQS transport. A worker charges orders: one is charged later, one at the second
attempt. A second one bills them, in queues that are there before: one bill is poison until it is in the dead-letter queue,
and is brought back by boto3, which kombu wraps; events go through a FIFO queue.
"""
import json
import os
import queue
import time
from contextlib import contextmanager
from urllib.parse import quote, urlsplit

import boto3
from celery import Celery
from celery.contrib.testing.worker import start_worker

endpoint = urlsplit(os.environ["AWS_ENDPOINT_URL"])
key, secret = (os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
sqs = boto3.client("sqs")


def app_of(default_queue, **transport_options):
    app = Celery("orders", broker=f"sqs://{quote(key, safe='')}:{quote(secret, safe='')}@{endpoint.netloc}/")
    app.conf.update(
        broker_transport_options={
            "region": os.environ["AWS_REGION"],
            "is_secure": False,
            "wait_time_seconds": 20,
            **transport_options,
        },
        task_default_queue=default_queue,
        task_acks_late=True,
        # What failed is not deleted; it comes again until it goes to the dead-letter queue.
        task_acks_on_failure_or_timeout=False,
        worker_enable_remote_control=False,
    )
    return app


@contextmanager
def working(app, *queues):
    with start_worker(app, pool="solo", perform_ping_check=False, loglevel="fatal", queues=queues):
        yield


# Send, long poll, delete; kombu makes the queue.
charging = app_of("orders", visibility_timeout=60)
charged = queue.Queue()
attempts = []


@charging.task(bind=True, max_retries=3)
def charge(self, order):
    attempts.append(order)
    if order == 3 and self.request.retries == 0:
        raise self.retry(countdown=1, exc=RuntimeError("the card service is down"))
    charged.put((order, time.monotonic()))


with working(charging, "orders"):
    started = time.monotonic()
    charge.delay(1)
    charge.apply_async([2], countdown=2)
    charge.delay(3)
    done = dict(charged.get(timeout=60) for _ in range(3))

assert sorted(done) == [1, 2, 3], done
assert sorted(attempts) == [1, 2, 3, 3], attempts
assert done[2] - started >= 2, "the countdown was not kept"
assert done[1] - started < 15, "the long poll did not end when an order came"


# Queues: bills that are received twice without success go to a dead-letter queue.
def create(name, **attributes):
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return url, arn


dead, dead_arn = create("bills-dlq")
bills, _ = create("bills", RedrivePolicy=json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 2}))
fifo, _ = create("events.fifo", FifoQueue="true")


def predefined(url, **more):
    return {"url": url, "access_key_id": key, "secret_access_key": secret, **more}


# Its policy of backing off gives a failed bill back by a visibility timeout of 0.
billing = app_of(
    "bills",
    predefined_queues={
        "bills": predefined(bills, backoff_policy={1: 0, 2: 0}, backoff_tasks=["bill"]),
        "events.fifo": predefined(fifo),
    },
)
billed = queue.Queue()
events = queue.Queue()
failures = []
is_repaired = False


@billing.task(name="bill")
def bill(order):
    if order == 7 and not is_repaired:
        failures.append(order)
        raise RuntimeError("the printer is on fire")
    billed.put(order)


@billing.task(name="event")
def event(name):
    events.put(name)


def send_event(name):
    event.apply_async([name], queue="events.fifo", MessageGroupId="a", MessageDeduplicationId=name)


with working(billing, "bills", "events.fifo"):
    bill.delay(7)
    [buried] = sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=20)["Messages"]
    assert failures == [7, 7], failures
    is_repaired = True
    sqs.change_message_visibility(QueueUrl=dead, ReceiptHandle=buried["ReceiptHandle"], VisibilityTimeout=0)
    sqs.start_message_move_task(SourceArn=dead_arn)
    assert billed.get(timeout=60) == 7

    # FIFO: a duplicate is not stored, and a group is handed out in order.
    for name in ("paid", "packed", "paid", "sent"):
        send_event(name)
    told = [events.get(timeout=60) for _ in range(3)]
    assert told == ["paid", "packed", "sent"], told

# Nothing is left.
for name in ("orders", "bills", "bills-dlq", "events.fifo"):
    left = sqs.get_queue_attributes(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"], AttributeNames=["All"])
    assert left["Attributes"]["ApproximateNumberOfMessages"] == "0", (name, left)
    assert left["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "0", (name, left)
assert events.empty() and billed.empty()
print(f"orders: {len(done)} charged, {len(attempts) - len(done)} retried, 1 dead, 1 redriven, {len(told)} events in order")
