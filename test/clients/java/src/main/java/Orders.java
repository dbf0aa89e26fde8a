import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.services.sqs.SqsClient;
import software.amazon.awssdk.services.sqs.model.*;

/** The order pipeline with the AWS SDK for Java v2. Endpoint, region and credentials come from the environment. */
public class Orders {
  static final SqsClient sqs = SqsClient.create();
  static int sent, received, deleted, dead, redriven, duplicates;

  static void check(boolean holds, Object what) {
    if (!holds) throw new AssertionError(String.valueOf(what));
  }

  static String body(String order) {
    return "{\"order\":\"" + order + "\",\"note\":\"blåbær & <smør>\"}";
  }

  static String orderOf(Message message) {
    return message.body().replaceAll("^.\"order\":\"([^\"]*)\".*", "$1");
  }

  static List<Message> receive(String queue, int limit, int waitSeconds) {
    var messages = sqs.receiveMessage(r -> r.queueUrl(queue).maxNumberOfMessages(limit).waitTimeSeconds(waitSeconds)
        .messageAttributeNames("All").messageSystemAttributeNames(MessageSystemAttributeName.ALL)).messages();
    received += messages.size();
    return messages;
  }

  /** Receives until there are as many as expected, by order. */
  static Map<String, Message> receiveOrders(String queue, int expected) {
    var found = new HashMap<String, Message>();
    while (found.size() < expected) receive(queue, 10, 20).forEach(message -> found.put(orderOf(message), message));
    return found;
  }

  static void remove(String queue, Message... messages) {
    if (messages.length == 1) {
      sqs.deleteMessage(r -> r.queueUrl(queue).receiptHandle(messages[0].receiptHandle()));
    } else {
      var entries = Stream.of(messages).map(message -> DeleteMessageBatchRequestEntry.builder()
          .id(message.messageId()).receiptHandle(message.receiptHandle()).build()).toList();
      var answer = sqs.deleteMessageBatch(r -> r.queueUrl(queue).entries(entries));
      check(answer.failed().isEmpty() && answer.successful().size() == messages.length, answer);
    }
    deleted += messages.length;
  }

  static void giveBack(String queue, Message message) {
    sqs.changeMessageVisibility(r -> r.queueUrl(queue).receiptHandle(message.receiptHandle()).visibilityTimeout(0));
  }

  static String create(String name, Map<String, String> attributes) {
    return sqs.createQueue(r -> r.queueName(name).attributesWithStrings(attributes)).queueUrl();
  }

  static Map<String, String> attributesOf(String queue) {
    return sqs.getQueueAttributes(r -> r.queueUrl(queue).attributeNames(QueueAttributeName.ALL)).attributesAsStrings();
  }

  static SendMessageResponse sendEvent(String queue, String group, String name) {
    return sqs.sendMessage(r -> r.queueUrl(queue).messageBody(body(name)).messageGroupId(group).messageDeduplicationId(name));
  }

  public static void main(String[] args) {
    // Queues: orders that are received twice without success go to a dead-letter queue.
    var deadQueue = create("orders-dlq", Map.of());
    var deadArn = attributesOf(deadQueue).get("QueueArn");
    var orders = create("orders", Map.of("VisibilityTimeout", "60", "RedrivePolicy",
        "{\"deadLetterTargetArn\":\"" + deadArn + "\",\"maxReceiveCount\":2}"));
    try {
      sqs.getQueueUrl(r -> r.queueName("no-such-queue"));
      throw new AssertionError("there is no such queue");
    } catch (QueueDoesNotExistException error) {
      check(error.awsErrorDetails().errorCode().equals("QueueDoesNotExist")
          || error.awsErrorDetails().errorCode().equals("AWS.SimpleQueueService.NonExistentQueue"), error.awsErrorDetails());
    }

    // Send one with attributes, and nine in a batch.
    var seal = SdkBytes.fromByteArray(new byte[] {0, -1, 16});
    var attributes = Map.of(
        "customer", MessageAttributeValue.builder().dataType("String").stringValue("Åse").build(),
        "amount", MessageAttributeValue.builder().dataType("Number").stringValue("12.50").build(),
        "seal", MessageAttributeValue.builder().dataType("Binary").binaryValue(seal).build());
    sqs.sendMessage(r -> r.queueUrl(orders).messageBody(body("1")).messageAttributes(attributes));
    var entries = IntStream.rangeClosed(2, 10).mapToObj(String::valueOf)
        .map(order -> SendMessageBatchRequestEntry.builder().id(order).messageBody(body(order)).build()).toList();
    var batch = sqs.sendMessageBatch(r -> r.queueUrl(orders).entries(entries));
    check(batch.failed().isEmpty() && batch.successful().size() == 9, batch);
    sent += 10;

    // Receive them all; the first has its attributes.
    var first = receiveOrders(orders, 10);
    check(first.get("1").body().equals(body("1")), first.get("1"));
    check(first.get("1").messageAttributes().equals(attributes), first.get("1"));
    check(first.get("1").attributesAsStrings().get("ApproximateReceiveCount").equals("1"), first.get("1"));

    // Delete one, then five.
    remove(orders, first.get("1"));
    remove(orders, first.get("2"), first.get("3"), first.get("4"), first.get("5"), first.get("6"));

    // A visibility timeout of 0 gives a message back.
    giveBack(orders, first.get("8"));
    var again = receiveOrders(orders, 1).get("8");
    check(again.attributesAsStrings().get("ApproximateReceiveCount").equals("2"), again);
    remove(orders, again);
    Collection<ChangeMessageVisibilityBatchRequestEntry> back = Stream.of("7", "9", "10")
        .map(order -> ChangeMessageVisibilityBatchRequestEntry.builder().id(order)
            .receiptHandle(first.get(order).receiptHandle()).visibilityTimeout(0).build()).toList();
    check(sqs.changeMessageVisibilityBatch(r -> r.queueUrl(orders).entries(back)).successful().size() == 3, back);
    var second = receiveOrders(orders, 3);
    remove(orders, second.get("9"), second.get("10"));

    // Order 7 is poison: given back for the second time, it is in the dead-letter queue.
    giveBack(orders, second.get("7"));
    check(receive(orders, 10, 0).isEmpty(), "order 7 was handed out for the third time");
    var poison = receiveOrders(deadQueue, 1).get("7");
    check(poison.messageId().equals(first.get("7").messageId()), poison);
    check(attributesOf(orders).get("QueueArn").equals(poison.attributesAsStrings().get("DeadLetterQueueSourceArn")), poison);
    dead++;
    giveBack(deadQueue, poison);

    // A move task brings it back.
    sqs.startMessageMoveTask(r -> r.sourceArn(deadArn));
    remove(orders, receiveOrders(orders, 1).get("7"));
    ListMessageMoveTasksResultEntry task = null;
    for (int tries = 0; tries < 1000 && (task == null || !task.status().equals("COMPLETED")); tries++) {
      task = sqs.listMessageMoveTasks(r -> r.sourceArn(deadArn)).results().get(0);
    }
    check(task.status().equals("COMPLETED") && task.approximateNumberOfMessagesMoved() == 1, task);
    redriven++;

    // A message that is sent during a long poll ends it.
    var waiting = CompletableFuture.supplyAsync(() -> receive(orders, 10, 20));
    sqs.sendMessage(r -> r.queueUrl(orders).messageBody(body("11")));
    sent++;
    var late = waiting.join();
    check(late.size() == 1 && orderOf(late.get(0)).equals("11"), late);
    remove(orders, late.get(0));

    // FIFO: a duplicate is not stored, a group is handed out in order, and one group does not block another.
    var fifo = create("orders.fifo", Map.of("FifoQueue", "true"));
    var paid = sendEvent(fifo, "a", "a-paid");
    check(sendEvent(fifo, "a", "a-paid").messageId().equals(paid.messageId()), "a duplicate has an id of its own");
    duplicates++;
    sendEvent(fifo, "a", "a-sent");
    sendEvent(fifo, "b", "b-paid");
    sent += 3;
    var a = receive(fifo, 1, 20);
    check(orderOf(a.get(0)).equals("a-paid"), a);
    check(a.get(0).attributesAsStrings().get("SequenceNumber").equals(paid.sequenceNumber()), a);
    var b = receive(fifo, 10, 20);
    check(b.size() == 1 && orderOf(b.get(0)).equals("b-paid"), b);
    remove(fifo, a.get(0));
    a = receive(fifo, 10, 20);
    check(a.size() == 1 && orderOf(a.get(0)).equals("a-sent"), a);
    remove(fifo, a.get(0), b.get(0));

    // Nothing is left.
    for (var queue : List.of(orders, deadQueue, fifo)) {
      var left = attributesOf(queue);
      check(left.get("ApproximateNumberOfMessages").equals("0"), left);
      check(left.get("ApproximateNumberOfMessagesNotVisible").equals("0"), left);
    }
    System.out.printf("orders: %d sent, %d received, %d deleted, %d dead, %d redriven, %d duplicates%n",
        sent, received, deleted, dead, redriven, duplicates);
  }
}
