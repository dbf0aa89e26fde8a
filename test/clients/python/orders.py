"""The order pipeline with boto3. Endpoint, region and credentials come from the environment."""
import hashlib
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import boto3

sqs = boto3.client("sqs")
count = Counter(sent=0, received=0, deleted=0, dead=0, redriven=0, duplicates=0)


def body(order):
    return json.dumps({"order": order, "note": 'blåbær & <"smør">\r\n'}, ensure_ascii=False)


def order_of(message):
    return json.loads(message["Body"])["order"]


def receive(queue, **options):
    ask = {
        "MaxNumberOfMessages": 10,
        "WaitTimeSeconds": 20,
        "MessageAttributeNames": ["All"],
        "AttributeNames": ["All"],
        **options,
    }
    messages = sqs.receive_message(QueueUrl=queue, **ask).get("Messages", [])
    for message in messages:
        assert message["MD5OfBody"] == hashlib.md5(message["Body"].encode()).hexdigest()
    count["received"] += len(messages)
    return messages


def receive_orders(queue, expected):
    """Receives until there are as many as expected, by order."""
    messages = []
    while len(messages) < expected:
        messages += receive(queue)
    return {order_of(message): message for message in messages}


def delete(queue, *messages):
    if len(messages) == 1:
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=messages[0]["ReceiptHandle"])
    else:
        entries = [{"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)]
        answer = sqs.delete_message_batch(QueueUrl=queue, Entries=entries)
        assert "Failed" not in answer
        assert [entry["Id"] for entry in answer["Successful"]] == [entry["Id"] for entry in entries]
    count["deleted"] += len(messages)


def give_back(queue, message):
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)


def arn_of(queue):
    return sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


# Queues: orders that are received twice without success go to a dead-letter queue.
dead = sqs.create_queue(QueueName="orders-dlq")["QueueUrl"]
dead_arn = arn_of(dead)
orders = sqs.create_queue(
    QueueName="orders",
    Attributes={
        "VisibilityTimeout": "60",
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 2}),
    },
    tags={"team": "sales"},
)["QueueUrl"]
assert sqs.get_queue_url(QueueName="orders")["QueueUrl"] == orders
assert sqs.list_queue_tags(QueueUrl=orders)["Tags"] == {"team": "sales"}
try:
    sqs.get_queue_url(QueueName="no-such-queue")
    raise AssertionError("there is no such queue")
except sqs.exceptions.QueueDoesNotExist as error:
    assert error.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue", error.response

# Send one with attributes, and nine in a batch.
attributes = {
    "customer": {"DataType": "String", "StringValue": "Åse"},
    "amount": {"DataType": "Number", "StringValue": "12.50"},
    "seal": {"DataType": "Binary", "BinaryValue": b"\x00\xff\x10"},
}
sent = sqs.send_message(QueueUrl=orders, MessageBody=body(1), MessageAttributes=attributes)
assert sent["MD5OfMessageBody"] == hashlib.md5(body(1).encode()).hexdigest()
batch = sqs.send_message_batch(
    QueueUrl=orders,
    Entries=[{"Id": f"order-{order}", "MessageBody": body(order)} for order in range(2, 11)],
)
assert "Failed" not in batch and len(batch["Successful"]) == 9
count["sent"] += 10

# Receive them all; the first has its attributes.
first = receive_orders(orders, 10)
assert sorted(first) == list(range(1, 11))
assert first[1]["Body"] == body(1)
assert first[1]["MessageAttributes"] == attributes
assert first[1]["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
assert first[1]["Attributes"]["ApproximateReceiveCount"] == "1"
assert "MessageAttributes" not in first[2]

# Delete one, then five.
delete(orders, first[1])
delete(orders, *(first[order] for order in range(2, 7)))

# A visibility timeout of 0 gives a message back.
give_back(orders, first[8])
again = receive_orders(orders, 1)[8]
assert again["Attributes"]["ApproximateReceiveCount"] == "2"
delete(orders, again)
given = sqs.change_message_visibility_batch(
    QueueUrl=orders,
    Entries=[
        {"Id": str(order), "ReceiptHandle": first[order]["ReceiptHandle"], "VisibilityTimeout": 0}
        for order in (7, 9, 10)
    ],
)
assert len(given["Successful"]) == 3
second = receive_orders(orders, 3)
delete(orders, second[9], second[10])

# Order 7 is poison: given back for the second time, it is in the dead-letter queue.
give_back(orders, second[7])
assert receive(orders, WaitTimeSeconds=0) == []
poison = receive_orders(dead, 1)[7]
assert poison["MessageId"] == first[7]["MessageId"]
assert poison["Attributes"]["DeadLetterQueueSourceArn"] == arn_of(orders)
count["dead"] += 1
give_back(dead, poison)

# A move task brings it back.
assert sqs.start_message_move_task(SourceArn=dead_arn)["TaskHandle"]
delete(orders, receive_orders(orders, 1)[7])
for _ in range(1000):
    task = sqs.list_message_move_tasks(SourceArn=dead_arn)["Results"][0]
    if task["Status"] == "COMPLETED":
        break
assert task["Status"] == "COMPLETED" and task["ApproximateNumberOfMessagesMoved"] == 1, task
count["redriven"] += 1

# A message that is sent during a long poll ends it.
with ThreadPoolExecutor() as threads:
    waiting = threads.submit(receive, orders)
    sqs.send_message(QueueUrl=orders, MessageBody=body(11))
    count["sent"] += 1
    [late] = waiting.result()
assert order_of(late) == 11
delete(orders, late)


# FIFO: a duplicate is not stored, a group is handed out in order, and one group does not block another.
def event(group, name):
    return {"MessageGroupId": group, "MessageDeduplicationId": name, "MessageBody": body(name)}


fifo = sqs.create_queue(QueueName="orders.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
paid = sqs.send_message(QueueUrl=fifo, **event("a", "a-paid"))
repeated = sqs.send_message(QueueUrl=fifo, **event("a", "a-paid"))
assert repeated["MessageId"] == paid["MessageId"]
count["duplicates"] += 1
events = sqs.send_message_batch(
    QueueUrl=fifo,
    Entries=[{"Id": "1", **event("a", "a-sent")}, {"Id": "2", **event("b", "b-paid")}],
)
assert int(events["Successful"][0]["SequenceNumber"]) > int(paid["SequenceNumber"])
count["sent"] += 3
[a_paid] = receive(fifo, MaxNumberOfMessages=1)
assert order_of(a_paid) == "a-paid"
assert a_paid["Attributes"]["SequenceNumber"] == paid["SequenceNumber"]
[b_paid] = receive(fifo)
assert order_of(b_paid) == "b-paid"
delete(fifo, a_paid)
[a_sent] = receive(fifo)
assert order_of(a_sent) == "a-sent"
assert a_sent["Attributes"]["MessageGroupId"] == "a"
delete(fifo, a_sent, b_paid)

# Nothing is left.
for queue in (orders, dead, fifo):
    left = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert left["ApproximateNumberOfMessages"] == "0"
    assert left["ApproximateNumberOfMessagesNotVisible"] == "0"
print("orders: " + ", ".join(f"{number} {what}" for what, number in count.items()))
