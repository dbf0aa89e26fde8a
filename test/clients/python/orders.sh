#!/usr/bin/env bash
# The order pipeline with the AWS CLI: `aws --endpoint-url`, and nothing else that is not as with AWS. Each command costs
# more time than all that the server does, so it has few orders.
set -euo pipefail

sqs() { aws --endpoint-url "$AWS_ENDPOINT_URL" --output text sqs "$@"; }
same() { [ "$2" = "$3" ] || { echo "$1 is '$2', not '$3'" >&2; exit 1; }; }

# Queues: orders that are received once without success go to a dead-letter queue.
dead=$(sqs create-queue --queue-name orders-dlq)
arn=$(sqs get-queue-attributes --queue-url "$dead" --attribute-names QueueArn --query Attributes.QueueArn)
orders=$(sqs create-queue --queue-name orders --tags team=sales \
  --attributes "{\"RedrivePolicy\":\"{\\\"deadLetterTargetArn\\\":\\\"$arn\\\",\\\"maxReceiveCount\\\":1}\"}")
same "URL" "$(sqs get-queue-url --queue-name orders)" "$orders"
same "tag" "$(sqs list-queue-tags --queue-url "$orders" --query Tags.team)" sales

# Send one with an attribute, and two in a batch.
sqs send-message --queue-url "$orders" --message-body 'order 1' \
  --message-attributes 'customer={DataType=String,StringValue=Åse}' > /dev/null
same "batch" "$(sqs send-message-batch --queue-url "$orders" --query 'length(Successful)' \
  --entries Id=2,MessageBody='order 2' Id=3,MessageBody='order 3')" 2

receive() { sqs receive-message --queue-url "$1" --wait-time-seconds 20 --message-attribute-names All --query "$2"; }
read -r handle customer < <(receive "$orders" 'Messages[0].[ReceiptHandle,MessageAttributes.customer.StringValue]')
same "customer" "$customer" Åse
sqs delete-message --queue-url "$orders" --receipt-handle "$handle"

# Order 2 is given back after its only receive: the next receive that comes upon it moves it to the dead-letter queue.
handle=$(receive "$orders" 'Messages[0].ReceiptHandle')
sqs change-message-visibility --queue-url "$orders" --receipt-handle "$handle" --visibility-timeout 0
IFS=$'\t' read -r body handle < <(receive "$orders" 'Messages[0].[Body,ReceiptHandle]')
same "body" "$body" 'order 3'
sqs delete-message-batch --queue-url "$orders" --entries "Id=3,ReceiptHandle=$handle" > /dev/null
same "receive" "$(sqs receive-message --queue-url "$orders" --query Messages)" None
same "sources" "$(sqs list-dead-letter-source-queues --queue-url "$dead" --query 'queueUrls[0]')" "$orders"
IFS=$'\t' read -r body handle < <(receive "$dead" 'Messages[0].[Body,ReceiptHandle]')
same "dead" "$body" 'order 2'
same "given back" "$(sqs change-message-visibility-batch --queue-url "$dead" --query 'length(Successful)' \
  --entries "Id=2,ReceiptHandle=$handle,VisibilityTimeout=0")" 1

# A move task brings it back.
sqs start-message-move-task --source-arn "$arn" > /dev/null
IFS=$'\t' read -r body handle < <(receive "$orders" 'Messages[0].[Body,ReceiptHandle]')
same "body" "$body" 'order 2'
sqs delete-message --queue-url "$orders" --receipt-handle "$handle"
same "task" "$(sqs list-message-move-tasks --source-arn "$arn" --query 'Results[0].ApproximateNumberOfMessagesMoved')" 1

# An order that is sent during a long poll ends it.
exec {late}< <(receive "$orders" 'Messages[0].[Body,ReceiptHandle]')
sqs send-message --queue-url "$orders" --message-body 'order 4' > /dev/null
IFS=$'\t' read -r -u "$late" body handle
same "late" "$body" 'order 4'
sqs delete-message --queue-url "$orders" --receipt-handle "$handle"

# FIFO: a duplicate is not stored, a group is handed out in order, and one group does not block another.
fifo=$(sqs create-queue --queue-name orders.fifo --attributes FifoQueue=true,ContentBasedDeduplication=true)
paid() { sqs send-message --queue-url "$fifo" --message-body a-paid --message-group-id a --query MessageId; }
first=$(paid)
same "duplicate" "$(paid)" "$first"
same "events" "$(sqs send-message-batch --queue-url "$fifo" --query 'length(Successful)' --entries \
  Id=1,MessageBody=a-sent,MessageGroupId=a Id=2,MessageBody=b-paid,MessageGroupId=b)" 2
read -r event a < <(receive "$fifo" 'Messages[0].[Body,ReceiptHandle]')
same "first of group a" "$event" a-paid
read -r event b < <(receive "$fifo" 'Messages[0].[Body,ReceiptHandle]')
same "while group a is held" "$event" b-paid
same "deleted" "$(sqs delete-message-batch --queue-url "$fifo" --query 'length(Successful)' \
  --entries "Id=a,ReceiptHandle=$a" "Id=b,ReceiptHandle=$b")" 2
read -r event a < <(receive "$fifo" 'Messages[0].[Body,ReceiptHandle]')
same "second of group a" "$event" a-sent
sqs delete-message --queue-url "$fifo" --receipt-handle "$a"

same "queues" "$(sqs list-queues --queue-name-prefix orders --query 'length(QueueUrls)')" 3
for queue in "$orders" "$dead" "$fifo"; do
  same "left" "$(sqs get-queue-attributes --queue-url "$queue" --attribute-names All --query \
    'Attributes.[ApproximateNumberOfMessages,ApproximateNumberOfMessagesNotVisible] | join(`/`, @)')" 0/0
done
echo "orders: 7 sent, 7 deleted, 1 dead, 1 redriven, 1 duplicates"
