// The order pipeline with the AWS SDK for Go v2. Endpoint, region and credentials come from the environment.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

var (
	ctx    = context.Background()
	client *sqs.Client
	count  struct{ sent, received, deleted, dead, redriven, duplicates int }
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func check(holds bool, format string, args ...any) {
	if !holds {
		log.Fatalf(format, args...)
	}
}

type order struct {
	Order string `json:"order"`
	Note  string `json:"note"`
}

func body(name string) *string {
	return aws.String(string(must(json.Marshal(order{name, "blåbær & <\"smør\">"}))))
}

func orderOf(message types.Message) string {
	var found order
	if err := json.Unmarshal([]byte(*message.Body), &found); err != nil {
		log.Fatal(err)
	}
	return found.Order
}

func receive(queue string, limit, waitSeconds int32) []types.Message {
	answer := must(client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl:                    &queue,
		MaxNumberOfMessages:         limit,
		WaitTimeSeconds:             waitSeconds,
		MessageAttributeNames:       []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"},
	}))
	count.received += len(answer.Messages)
	return answer.Messages
}

// receiveOrders receives until there are as many as expected, by order.
func receiveOrders(queue string, expected int) map[string]types.Message {
	found := map[string]types.Message{}
	for len(found) < expected {
		for _, message := range receive(queue, 10, 20) {
			found[orderOf(message)] = message
		}
	}
	return found
}

func remove(queue string, messages ...types.Message) {
	if len(messages) == 1 {
		must(client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &queue, ReceiptHandle: messages[0].ReceiptHandle}))
	} else {
		var entries []types.DeleteMessageBatchRequestEntry
		for i, message := range messages {
			entries = append(entries, types.DeleteMessageBatchRequestEntry{
				Id: aws.String(strconv.Itoa(i)), ReceiptHandle: message.ReceiptHandle,
			})
		}
		answer := must(client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &queue, Entries: entries}))
		check(len(answer.Failed) == 0 && len(answer.Successful) == len(entries), "delete batch: %v", answer)
	}
	count.deleted += len(messages)
}

func giveBack(queue string, message types.Message) {
	must(client.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{
		QueueUrl: &queue, ReceiptHandle: message.ReceiptHandle, VisibilityTimeout: 0,
	}))
}

func createQueue(name string, attributes map[string]string) string {
	return *must(client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})).QueueUrl
}

func attributesOf(queue string) map[string]string {
	return must(client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &queue, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll},
	})).Attributes
}

func send(queue, name string, attributes map[string]types.MessageAttributeValue) {
	must(client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: body(name), MessageAttributes: attributes}))
	count.sent++
}

func main() {
	client = sqs.NewFromConfig(must(config.LoadDefaultConfig(ctx)))

	// Queues: orders that are received twice without success go to a dead-letter queue.
	dead := createQueue("orders-dlq", nil)
	deadArn := attributesOf(dead)["QueueArn"]
	orders := createQueue("orders", map[string]string{
		"VisibilityTimeout": "60",
		"RedrivePolicy":     fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":2}`, deadArn),
	})
	_, err := client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("no-such-queue")})
	var missing *types.QueueDoesNotExist
	check(errors.As(err, &missing), "a missing queue gave %v", err)

	// Send one with attributes, and nine in a batch.
	send(orders, "1", map[string]types.MessageAttributeValue{
		"customer": {DataType: aws.String("String"), StringValue: aws.String("Åse")},
		"amount":   {DataType: aws.String("Number"), StringValue: aws.String("12.50")},
		"seal":     {DataType: aws.String("Binary"), BinaryValue: []byte{0, 255, 16}},
	})
	var batch []types.SendMessageBatchRequestEntry
	for name := 2; name <= 10; name++ {
		id := strconv.Itoa(name)
		batch = append(batch, types.SendMessageBatchRequestEntry{Id: &id, MessageBody: body(id)})
	}
	sent := must(client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &orders, Entries: batch}))
	check(len(sent.Failed) == 0 && len(sent.Successful) == 9, "send batch: %v", sent)
	count.sent += 9

	// Receive them all; the first has its attributes.
	first := receiveOrders(orders, 10)
	one := first["1"]
	check(*one.Body == *body("1"), "body: %s", *one.Body)
	check(len(one.MessageAttributes) == 3, "attributes: %v", one.MessageAttributes)
	check(*one.MessageAttributes["customer"].StringValue == "Åse", "attributes: %v", one.MessageAttributes)
	check(bytes.Equal(one.MessageAttributes["seal"].BinaryValue, []byte{0, 255, 16}), "attributes: %v", one.MessageAttributes)
	check(one.Attributes["ApproximateReceiveCount"] == "1", "attributes: %v", one.Attributes)

	// Delete one, then five.
	remove(orders, one)
	remove(orders, first["2"], first["3"], first["4"], first["5"], first["6"])

	// A visibility timeout of 0 gives a message back.
	giveBack(orders, first["8"])
	again := receiveOrders(orders, 1)["8"]
	check(again.Attributes["ApproximateReceiveCount"] == "2", "attributes: %v", again.Attributes)
	remove(orders, again)
	var back []types.ChangeMessageVisibilityBatchRequestEntry
	for _, name := range []string{"7", "9", "10"} {
		back = append(back, types.ChangeMessageVisibilityBatchRequestEntry{
			Id: &name, ReceiptHandle: first[name].ReceiptHandle, VisibilityTimeout: 0,
		})
	}
	given := must(client.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &orders, Entries: back}))
	check(len(given.Successful) == 3, "visibility batch: %v", given)
	second := receiveOrders(orders, 3)
	remove(orders, second["9"], second["10"])

	// Order 7 is poison: given back for the second time, it is in the dead-letter queue.
	giveBack(orders, second["7"])
	check(len(receive(orders, 10, 0)) == 0, "order 7 was handed out for the third time")
	poison := receiveOrders(dead, 1)["7"]
	check(*poison.MessageId == *first["7"].MessageId, "another message died")
	source := poison.Attributes["DeadLetterQueueSourceArn"]
	check(source == attributesOf(orders)["QueueArn"], "source: %s", source)
	count.dead++
	giveBack(dead, poison)

	// A move task brings it back.
	must(client.StartMessageMoveTask(ctx, &sqs.StartMessageMoveTaskInput{SourceArn: &deadArn}))
	remove(orders, receiveOrders(orders, 1)["7"])
	var task types.ListMessageMoveTasksResultEntry
	for tries := 0; tries < 1000 && aws.ToString(task.Status) != "COMPLETED"; tries++ {
		task = must(client.ListMessageMoveTasks(ctx, &sqs.ListMessageMoveTasksInput{SourceArn: &deadArn})).Results[0]
	}
	check(aws.ToString(task.Status) == "COMPLETED" && task.ApproximateNumberOfMessagesMoved == 1, "task: %v", task)
	count.redriven++

	// A message that is sent during a long poll ends it.
	waiting := make(chan []types.Message)
	go func() { waiting <- receive(orders, 10, 20) }()
	send(orders, "11", nil)
	late := <-waiting
	check(len(late) == 1 && orderOf(late[0]) == "11", "late: %v", late)
	remove(orders, late[0])

	// FIFO: a duplicate is not stored, a group is handed out in order, and one group does not block another.
	fifo := createQueue("orders.fifo", map[string]string{"FifoQueue": "true"})
	sendPaid := func() *sqs.SendMessageOutput {
		return must(client.SendMessage(ctx, &sqs.SendMessageInput{
			QueueUrl: &fifo, MessageBody: body("a-paid"),
			MessageGroupId: aws.String("a"), MessageDeduplicationId: aws.String("a-paid"),
		}))
	}
	paid, repeated := sendPaid(), sendPaid()
	check(*paid.MessageId == *repeated.MessageId, "a duplicate has an id of its own")
	count.duplicates++
	event := func(group, name string) types.SendMessageBatchRequestEntry {
		return types.SendMessageBatchRequestEntry{
			Id: &name, MessageBody: body(name), MessageGroupId: &group, MessageDeduplicationId: &name,
		}
	}
	events := must(client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{
		QueueUrl: &fifo, Entries: []types.SendMessageBatchRequestEntry{event("a", "a-sent"), event("b", "b-paid")},
	}))
	// Sequence numbers have 20 digits, so text compares like numbers.
	check(*events.Successful[0].SequenceNumber > *paid.SequenceNumber, "sequence numbers do not grow")
	count.sent += 3
	a := receive(fifo, 1, 20)
	check(len(a) == 1 && orderOf(a[0]) == "a-paid", "first of group a: %v", a)
	b := receive(fifo, 10, 20)
	check(len(b) == 1 && orderOf(b[0]) == "b-paid", "while group a is held: %v", b)
	remove(fifo, a[0])
	a = receive(fifo, 10, 20)
	check(len(a) == 1 && orderOf(a[0]) == "a-sent", "second of group a: %v", a)
	check(a[0].Attributes["MessageGroupId"] == "a", "attributes: %v", a[0].Attributes)
	remove(fifo, a[0], b[0])

	// Nothing is left.
	for _, queue := range []string{orders, dead, fifo} {
		left := attributesOf(queue)
		check(left["ApproximateNumberOfMessages"] == "0" && left["ApproximateNumberOfMessagesNotVisible"] == "0", "left: %v", left)
	}
	fmt.Printf("orders: %d sent, %d received, %d deleted, %d dead, %d redriven, %d duplicates\n",
		count.sent, count.received, count.deleted, count.dead, count.redriven, count.duplicates)
}
