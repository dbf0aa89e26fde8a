#!/usr/bin/env bash
# The order pipeline with the AWS CLI: `aws --endpoint-url`, and nothing else that is not as with AWS.
set -euo pipefail

sqs() { aws --endpoint-url "$AWS_ENDPOINT_URL" --output text sqs "$@"; }
same() { [ "$2" = "$3" ] || { echo "$1 is '$2', not '$3'" >&2; exit 1; }; }

dead=$(sqs create-queue --queue-name orders-dlq)
arn=$(sqs get-queue-attributes --queue-url "$dead" --attribute-names QueueArn --query Attributes.QueueArn)
orders=$(sqs create-queue --queue-name orders --tags team=sales \
  --attributes "{\"RedrivePolicy\":\"{\\\"deadLetterTargetArn\\\":\\\"$arn\\\",\\\"maxReceiveCount\\\":1}\"}")
same "URL" "$(sqs get-queue-url --queue-name orders)" "$orders"
same "tag" "$(sqs list-queue-tags --queue-url "$orders" --query Tags.team)" sales

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

# A move task brings it back.
sqs start-message-move-task --source-arn "$arn" > /dev/null
IFS=$'\t' read -r body handle < <(receive "$orders" 'Messages[0].[Body,ReceiptHandle]')
same "body" "$body" 'order 2'
sqs delete-message --queue-url "$orders" --receipt-handle "$handle"
same "task" "$(sqs list-message-move-tasks --source-arn "$arn" --query 'Results[0].ApproximateNumberOfMessagesMoved')" 1

fifo=$(sqs create-queue --queue-name orders.fifo --attributes FifoQueue=true,ContentBasedDeduplication=true)
first=$(sqs send-message --queue-url "$fifo" --message-body paid --message-group-id a --query MessageId)
same "duplicate" "$(sqs send-message --queue-url "$fifo" --message-body paid --message-group-id a --query MessageId)" "$first"
same "queues" "$(sqs list-queues --queue-name-prefix orders --query 'length(QueueUrls)')" 3
echo "orders: 3 sent, 3 deleted, 1 dead, 1 redriven, 1 duplicates"
