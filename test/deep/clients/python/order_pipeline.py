"""The order pipeline with the client that openapi-generator makes: 200 orders, two workers, one poison order that ends
in the dead-letter queue, goes back when the workers are repaired, and is done then. Prints what it saw, as JSON."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

from sluice_client import (
    ApiClient,
    Configuration,
    CreateQueueRequest,
    DeadLetterPolicy,
    MessagesApi,
    QueuesApi,
    ReceiptsApi,
    RedriveApi,
    ReleaseMessageRequest,
    SendEntry,
    SendMessagesRequest,
    SettleMessagesRequest,
    TaskStatus,
)
from sluice_client.exceptions import NotFoundException

client = ApiClient(Configuration(host=os.environ.get("SLUICE_URL", "http://localhost:8080")))
queues = QueuesApi(client)
messages = MessagesApi(client)
receipts = ReceiptsApi(client)
redrive = RedriveApi(client)

orders = [{"order": n, "amount": "twelve" if n == 137 else n * 5} for n in range(1, 201)]


def work() -> list[int]:
    """Ends when no order comes for a second."""
    processed = []
    while received := messages.receive_messages("orders", max=10, wait="1s").messages:
        for message in received:
            if isinstance(message.body["amount"], int):
                receipts.delete_received_message("orders", message.receipt_handle)
                processed.append(message.body["order"])
            else:
                why = ReleaseMessageRequest(reason="the amount is not a number")
                receipts.release_message("orders", message.receipt_handle, release_message_request=why)
    return processed


def misspelt_code() -> str:
    try:
        queues.get_queue("order")
    except NotFoundException as refused:
        return refused.data.code
    raise AssertionError("there is no such queue")


queues.create_queue("orders-dlq")
created = queues.create_queue(
    "orders",
    CreateQueueRequest(
        visibility_timeout_seconds=30,
        dead_letter=DeadLetterPolicy(queue="orders-dlq", max_receive_count=3),
    ),
)
batch = messages.send_messages("orders", SendMessagesRequest(messages=[SendEntry(body=order) for order in orders]))

with ThreadPoolExecutor() as pool:
    workers = [pool.submit(work) for _ in range(2)]
    processed = {number for worker in workers for number in worker.result()}
processed_before = len(processed)

dead = [
    {
        "order": message.body["order"],
        "source": message.dead_letter.source_queue,
        "receiveCount": message.dead_letter.receive_count,
        "reason": message.last_failure.reason,
    }
    for message in messages.peek_messages("orders-dlq").items
]

task = redrive.start_redrive("orders-dlq")
while task.status == TaskStatus.RUNNING:
    task = redrive.get_task(task.task_id)

# The workers are repaired: they read words, too.
again = messages.receive_messages("orders", wait="20s").messages
processed.update(message.body["order"] for message in again)
settled = receipts.settle_messages(
    "orders", SettleMessagesRequest(delete=[message.receipt_handle for message in again])
)

print(
    json.dumps(
        {
            "deadLetterQueue": created.dead_letter.queue,
            "misspelt": misspelt_code(),
            "sentCount": batch.sent_count,
            "processedBefore": processed_before,
            "dead": dead,
            "task": {"source": task.source, "status": task.status, "moved": task.moved},
            "settledCount": settled.settled_count,
            "processed": len(processed),
            "orders": queues.get_queue_stats("orders").to_dict(),
            "deadLetters": queues.get_queue_stats("orders-dlq").to_dict(),
        }
    )
)
